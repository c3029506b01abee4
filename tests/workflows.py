"""Runs the workflow with stand-ins for the scripts, which write their arguments."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from tests.forked import CONTEXT

ROOT = Path(__file__).parents[1]

# Writes its arguments to the outputs that the rule expects.
STAND_IN = """
import sys
from pathlib import Path
words = sys.argv
out = Path(words[words.index("--out-prefix" if "--out-prefix" in words else "--out") + 1])
names = {"prepare": [out / "info.json"],
         "table": [Path(f"{out}.{kind}") for kind in ("csv", "md", "tex", "json")],
         "cost": [Path(f"{out}.{kind}") for kind in ("csv", "md")],
         "figure": [Path(f"{out}.{kind}") for kind in ("png", "pdf")],
         "trajectory": [Path(f"{out}.{kind}") for kind in ("png", "pdf", "csv", "md")]}
if "--snapshots" in words:
    steps = words[words.index("--snapshots") + 1].split(",")
    names["condense"] = [out / f"step{step}.safetensors" for step in steps]
for path in names.get(Path(words[0]).stem, [out]):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(words[1:]))
"""

# Likewise for the scripts that write a table and a figure.
REPORT_STAND_IN = """
import sys
from pathlib import Path
words = sys.argv
for option, kinds in (("--out-table", ("csv", "md", "tex", "json")), ("--out-figure", ("png", "pdf"))):
    for kind in kinds:
        path = Path(f"{words[words.index(option) + 1]}.{kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(words[1:]))
"""


def project(folder: Path, protocols: Mapping[str, str], scripts: Iterable[str] = ()) -> Path:
    """Turn a folder into a copy of the project, with stand-ins for some scripts and without the others.

    Args:
        folder: an empty folder.
        protocols: name -> text of additional protocols.
        scripts: names of the scripts to replace, without suffix.

    Returns:
        The folder.
    """
    for part in ("config", "workflow"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "Snakefile", folder)
    for part in ("environment.yml", "benchmarks", "src"):
        (folder / part).symlink_to(ROOT / part)
    for name, text in protocols.items():
        (folder / "config" / "protocols" / f"{name}.yaml").write_text(text)
    (folder / "scripts").mkdir()
    for script in scripts:
        stand_in = REPORT_STAND_IN if script in ("search_report", "continual_report") else STAND_IN
        (folder / "scripts" / f"{script}.py").write_text(stand_in)
    return folder


def snakemake(folder: Path, *options: str, targets: tuple[str, ...] = (), **settings: object) -> str:
    """Run Snakemake without activating its environment: jobs must find their Python nevertheless.

        Returns:
    Its output.
    """
    command = [sys.executable, "-m", "snakemake", *options]
    config = ["--config", *(f"{key}={value}" for key, value in settings.items())] if settings else []
    done = subprocess.run(
        [*command, *config, "--", *targets],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stderr + done.stdout


def planned(folder: Path, *options: str, targets: tuple[str, ...] = (), **settings: object) -> str:
    """Run Snakemake without jobs, in a forked process that has imported it; see `snakemake`.

    Returns:
        Its output.

    Raises:
        CalledProcessError: Snakemake failed.
    """
    config = ["--config", *(f"{key}={value}" for key, value in settings.items())] if settings else []
    words = [*options, *config, "--", *targets]
    with tempfile.NamedTemporaryFile("r", suffix=".log") as log:
        child = CONTEXT.Process(target=_snakemake, args=(words, folder, _environment(), log.name))
        child.start()
        child.join()
        output = log.read()
    if child.exitcode:
        raise subprocess.CalledProcessError(child.exitcode, words, output, "")
    return output


def _snakemake(words: list[str], folder: Path, environment: dict[str, str], log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["snakemake", *words]
    importlib.import_module("snakemake.cli").main(words)  # which has no types


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": os.defpath}


def plan(folder: Path, *targets: str, options: tuple[str, ...] = (), **settings: object) -> dict[str, int]:
    """Return rule -> number of jobs of a dry run."""
    output = planned(folder, "--dry-run", *options, targets=targets, **settings)
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}
    if "total" not in jobs:
        assert "Nothing to be done" in output, output
    return jobs


def refusal(folder: Path, target: str = "table1", **settings: object) -> str:
    """Return the one-line error with which a run ends before any job."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        planned(folder, "--cores", "1", targets=(target,), **settings)
    output = caught.value.stderr + caught.value.stdout
    lines = [line for line in output.splitlines() if line and not line.startswith("Using ")]
    assert len(lines) == 1, output
    return lines[0]


def costed(folder: Path, table: str, out: Path) -> set[str]:
    """Write the cost of a table of the protocol `small`; return its jobs, all of which have records."""
    words = ["--table", table, "--protocol", "small", "--results", str(folder / "results/small")]
    subprocess.run(
        [sys.executable, str(ROOT / "scripts/cost.py"), *words, "--out-prefix", str(out)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
    )
    output = pd.read_csv(out.with_suffix(".csv"))
    assert set(output["source"]) == {"benchmark"}
    return set(output["path"])


def benchmarked(folder: Path, *parts: str) -> set[str]:
    """Return the jobs of the protocol `small` that have a benchmark in the given folders."""
    root = folder / "results/small/benchmarks"
    found = (path for part in parts for path in (root / part).rglob("*.tsv"))
    return {str(path.relative_to(root).with_suffix("")) for path in found}
