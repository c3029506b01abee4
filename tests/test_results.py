"""What is committed under results/: a clone fetches it with no account, and it says what the tables say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from condensery.reporting.tables import read_cells
from condensery.synthetic import SyntheticSet

ROOT = Path(__file__).resolve().parents[1]
LAPTOP = Path("results/laptop")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone in which `dvc pull` has been run."""
    folder = tmp_path_factory.mktemp("clone") / "condensery"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    _run(folder, "-m", "dvc", "pull", "--quiet")
    return folder


def _run(folder: Path, *words: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("table", ["table1", "dsa_siamese"])
def test_the_table_is_that_of_its_rows(clone: Path, tmp_path: Path, table: str) -> None:
    words = ["scripts/table.py", "--table", table, "--protocol", "laptop", "--only-target"]
    _run(clone, *words, "--rows", str(LAPTOP / "accuracy"), "--out-prefix", str(tmp_path / table))
    for suffix in ("csv", "md", "tex"):
        committed = (clone / LAPTOP / "tables" / f"{table}.{suffix}").read_text()
        assert (tmp_path / f"{table}.{suffix}").read_text() == committed


def test_the_table_in_the_readme_is_that_of_the_results(clone: Path) -> None:
    page = (clone / LAPTOP / "tables" / "table1.md").read_text()
    matrix = [line for line in page.split("\n## ")[0].splitlines() if line.startswith("|")]
    assert len(matrix) > 10
    assert "\n".join(matrix) in (clone / "README.md").read_text()


def test_released_sets_are_those_that_the_rows_were_made_with(clone: Path) -> None:
    measured = set()
    for table in (clone / LAPTOP / "tables").glob("*.csv"):
        cells = read_cells(table)
        measured |= set(zip(cells["dataset"], cells["method"], cells["ipc"], strict=True))
    released = sorted((clone / LAPTOP / "synthetic").rglob("seed*.safetensors"))
    assert released
    for path in released:
        synthetic = SyntheticSet.load(path)
        experiment = synthetic.provenance["experiment"]
        assert experiment["protocol"] == "laptop"
        assert (experiment["dataset"], experiment["method"], experiment["ipc"]) in measured
        assert len(synthetic) == experiment["ipc"] * len(synthetic.classes)
