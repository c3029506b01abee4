"""The precision study: its order, its time limit, paired differences, the page, and a resumed run."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from harness import paired
from harness.study import STUDIES
from harness.time_limit import time_limit

ROOT = Path(__file__).resolve().parents[1]


def study_rows() -> pd.DataFrame:
    """Return rows of two sets with two networks each; in bf16 set 0 loses 1 point, set 1 loses 3."""
    rows = []
    for seed in (0, 1):
        for network in (0, 1):
            for precision in ("fp32", "bf16"):
                lost = (1 + 2 * seed) * (precision == "bf16")
                rows.append(
                    {
                        "dataset": "d",
                        "method": "dm",
                        "ipc": 1,
                        "set_seed": seed,
                        "network_seed": 1000 * seed + network,
                        "condense_precision": "fp32",
                        "precision": precision,
                        "accuracy": 50.0 + 10 * network + seed - lost,
                        "commit": "c",
                        "device": "x",
                        "torch": "2",
                        "epochs": 1,
                    }
                )
    return pd.DataFrame(rows)


def test_differences_are_paired_and_their_error_is_that_of_the_sets() -> None:
    found = paired.differences(study_rows()).set_index(["condensed", "evaluated"])
    assert found.loc[("fp32", "fp32"), "difference"] == 0
    lost = found.loc[("fp32", "bf16")]
    assert lost["difference"] == pytest.approx(-2)
    assert lost["error"] == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert (lost["sets"], lost["networks"]) == (2, 4)


def test_page_takes_a_section_once(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    for name, text in (("a", "one\n"), ("b", "two\n"), ("a", "three\n")):
        paired.put(page, name, text)
    content = page.read_text()
    assert "one" not in content
    assert content.index("# Title") < content.index("three") < content.index("two")
    assert content.count("<!-- end -->") == 2


def test_study_that_is_cut_short_has_all_precisions_of_its_seeds() -> None:
    study = STUDIES["small"]
    tasks = list(study.tasks(["fp32", "bf16"]))
    assert len(tasks) == len(set(map(repr, tasks))) == study.sets * len(study.cells) * 2 * 2
    first = tasks[: 2 * len(study.cells)]
    assert {t.set_seed for t in first} == {0}
    assert all(t.condensed == t.evaluated for t in first)


def test_a_time_limit_asks_to_stop_while_it_lasts() -> None:
    with time_limit(1e-4) as stopped:
        patience = time.monotonic() + 10
        while not stopped and time.monotonic() < patience:
            time.sleep(0.01)
        assert stopped
    with time_limit(1e-3) as stopped:
        pass
    time.sleep(0.1)  # longer than the limit: the signal would end this process
    with time_limit(None) as stopped:
        assert not stopped


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


@pytest.mark.slow
def test_tiny_study_goes_on_where_it_stopped(tmp_path: Path) -> None:
    prepared = run("python3", "scripts/prepare.py", "--data", "digits", "--out", tmp_path / "digits")
    assert prepared.returncode == 0, prepared.stderr
    out = tmp_path / "out" / "precision-tiny"
    study = ("python3", "benchmarks/precision.py", "--study", "tiny", "--device", "cpu")
    stopped = run(*study, "--prepared", tmp_path, "--out", out, "--minutes", "0.001")
    assert stopped.returncode == 0, stopped.stderr
    assert "Stopped with" in stopped.stderr
    done = run(
        "benchmarks/gpu.sh",
        "--quick",
        "--prepared",
        tmp_path,
        "--out",
        out.parent,
        "--minutes",
        "60",
        "precision",
    )
    assert done.returncode == 0, done.stderr
    rows = pd.read_parquet(out / "rows.parquet")
    ways = rows.groupby(["condense_precision", "precision"]).size()
    assert {("bf16", "bf16"), ("bf16", "fp32"), ("fp32", "bf16"), ("fp32", "fp32")} <= set(ways.index)
    assert set(ways) == {2}
    page = tmp_path / "page.md"
    page.write_text("# Precision\n")
    shown = run(*study, "--prepared", tmp_path, "--out", out, "--page", page)
    assert shown.returncode == 0, shown.stderr
    assert page.read_text().count("| digits | dm | 1 |") == len(ways)
