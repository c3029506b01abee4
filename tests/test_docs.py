"""The commands, links and file names in README.md and docs/ work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from condensery.rows import MEMORY, read_rows
from condensery.synthetic import SyntheticSet
from tests.pages import ROOT, blocks, page, prose

PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "config/*.md", "benchmarks/*.md")
    for path in sorted(ROOT.glob(pattern))
]


def _anchors(text: str) -> set[str]:
    """Return the link targets in a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page(name))):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text()), link


@pytest.mark.parametrize("name", PAGES)
def test_files_that_a_page_names_are_there(name: str) -> None:
    folders = "benchmarks|config|docs|scripts|src|tests|workflow"
    written = {block.file for block in blocks(page(name))}
    for file in re.findall(rf"`((?:{folders})/[\w./-]+\w)`", prose(page(name))):
        assert file in written or (ROOT / file).exists(), file


def _run_commands(name: str, folder: Path) -> None:
    """Run the commands of a page that need no Snakemake, in a copy of the repository's layout."""
    (commands,) = [block.text for block in blocks(page(name)) if "scripts/prepare.py" in block.text]
    for part in ("scripts", "config", "workflow"):
        (folder / part).symlink_to(ROOT / part)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_page_of_snakemake_and_dvc_quotes_their_files() -> None:
    text = page("docs/snakemake-and-dvc.md")
    quoted = re.findall(r"`([\w./]+)`, shortened:\n\n```\n(.*?)```", text, flags=re.DOTALL)
    assert [file for file, _ in quoted] == ["workflow/rules/condense.smk", "dvc.yaml"]
    for file, excerpt in quoted:
        assert set(excerpt.splitlines()) <= set((ROOT / file).read_text().splitlines()), file


@pytest.mark.slow
def test_commands_without_snakemake(tmp_path: Path) -> None:
    """Condense, evaluate, export and import as in docs/workflow.md, and load as in README.md."""
    _run_commands("docs/workflow.md", tmp_path)
    synthetic = SyntheticSet.load(tmp_path / "dm.safetensors")
    again = SyntheticSet.load(tmp_path / "again.safetensors")
    assert synthetic.images.shape == (100, 1, 8, 8)
    assert torch.equal(synthetic.images, again.images)
    assert torch.equal(synthetic.labels, again.labels)
    rows = read_rows([tmp_path / "dm.parquet"], "smoke")
    assert len(rows) == yaml.safe_load((ROOT / "config/protocols/smoke.yaml").read_text())["networks"]
    assert rows["accuracy"].between(10, 100).all(), "no better than chance"

    (snippet,) = [block.text for block in blocks(page("README.md")) if block.language == "python"]
    shown: dict = {}
    exec(re.sub(r"load\(.*?\)", f"load({str(tmp_path / 'dm.safetensors')!r})", snippet), shown)
    image, label = shown["dataset"][99]
    assert image.shape == (1, 8, 8)
    assert 0 <= image.min() <= image.max() <= 1
    assert int(label) == 9


@pytest.mark.slow
def test_commands_of_continual_learning(tmp_path: Path) -> None:
    _run_commands("docs/continual.md", tmp_path)
    assert SyntheticSet.load(tmp_path / "step0.safetensors").labels.tolist() == [2, 8]
    for name, steps in (("classes", 5), ("domains", 2)):
        rows = read_rows([tmp_path / f"{name}.parquet"], "smoke", MEMORY)
        assert rows["step"].nunique() == steps
