"""Released results: a clone fetches them without an account, and the tables follow from the rows."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from condensery.experiment.catalog import of_kind
from condensery.experiment.target_kinds import Accuracies
from condensery.reporting.tables import read_cells
from condensery.synthetic import SyntheticSet
from tests.scripts import ROOT, run

LAPTOP = Path("results/laptop")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone in which `dvc pull` has been run."""
    folder = tmp_path_factory.mktemp("clone") / "condensery"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "pull", "--quiet"], cwd=folder, check=True)
    return folder


def _run(clone: Path, script: str, *words: object) -> None:
    done = run(script, *words, cwd=clone)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "table", ["table1", "table2", "table3", "table6", "larger_sets", "imagenet", "dsa_siamese"]
)
def test_the_table_is_that_of_its_rows(clone: Path, tmp_path: Path, table: str) -> None:
    words = ["table", "--table", table, "--protocol", "laptop", "--only-target"]
    _run(clone, *words, "--rows", str(LAPTOP / "accuracy"), "--out-prefix", str(tmp_path / table))
    for suffix in ("csv", "md", "tex", "json"):
        committed = (clone / LAPTOP / "tables" / f"{table}.{suffix}").read_text()
        assert (tmp_path / f"{table}.{suffix}").read_text() == committed


def test_every_published_number_is_compared_as_the_rows_say(clone: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "reproduction"
    done = run("reproduction", "--results", "results", "--out", str(prefix), cwd=clone)
    assert done.returncode == 0, done.stderr
    assert done.stdout in (clone / "README.md").read_text()
    for suffix in ("csv", "md"):
        committed = (clone / "results" / f"reproduction.{suffix}").read_text()
        assert (tmp_path / f"reproduction.{suffix}").read_text() == committed


def accuracy(clone: Path, table: str, **cell: object) -> float:
    """Return the mean accuracy of the only cell of a table with these values."""
    cells = read_cells(clone / LAPTOP / "tables" / f"{table}.csv")
    for name, value in cell.items():
        cells = cells[cells[name] == value]
    assert len(cells) == 1
    return cells["mean"].item()


def test_batch_norm_is_at_least_as_good_as_instance_norm(clone: Path) -> None:
    """DM Table 2: 65.2 against 63.0 with 50 images per class of CIFAR-10."""
    instance, batch = (
        accuracy(clone, "table2", method="dm", evaluate_network=network)
        for network in ("convnet", "convnet-bn")
    )
    assert batch >= instance


def test_matching_pixels_is_between_random_images_and_matching_features(clone: Path) -> None:
    """DM Table 6, 10 images per class: random 26.0, MMD 34.9, DM 48.9."""
    random, mmd, dm = (accuracy(clone, "table6", method=method) for method in ("random", "mmd", "dm"))
    assert random < mmd < dm


def test_released_sets_are_those_that_the_rows_were_made_with(clone: Path) -> None:
    measured = set()
    for table in (clone / LAPTOP / "tables").glob("*.csv"):
        if table.stem not in of_kind(Accuracies):
            continue
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


def test_the_table_of_continual_learning_is_that_of_its_rows(clone: Path, tmp_path: Path) -> None:
    words = ["continual_report", "--target", "continual5", "--protocol", "laptop"]
    prefix = tmp_path / "continual5"
    words += ["--rows", str(LAPTOP / "continual"), "--out-table", str(prefix), "--out-figure", str(prefix)]
    _run(clone, *words)
    for suffix in ("csv", "md", "tex", "json"):
        committed = (clone / LAPTOP / "tables" / f"continual5.{suffix}").read_text()
        assert prefix.with_suffix(f".{suffix}").read_text() == committed


def test_memories_rank_as_published(clone: Path) -> None:
    """DM section 3.5: DM before herding before random selection, after the last step."""
    rows = pd.concat(pd.read_parquet(path) for path in (clone / LAPTOP / "continual").rglob("*.parquet"))
    last = rows[rows["step"] == rows["step"].max()].groupby("method")["accuracy"].mean()
    assert list(last.sort_values(ascending=False).index) == ["dm", "herding", "random"]


@pytest.fixture
def search(clone: Path) -> Path:
    """Return the folder of the released architecture search, in the clone."""
    if not (clone / LAPTOP / "tables" / "table5.csv").exists():
        pytest.skip("no architecture search is released")
    return clone / LAPTOP / "search"


def test_table_5_is_that_of_its_rows(clone: Path, search: Path, tmp_path: Path) -> None:
    rows, tests = (sorted(map(str, (search / name).rglob("*.parquet"))) for name in ("accuracy", "chosen"))
    words = ["search_report", "--protocol", "laptop", "--rows", *rows, "--tests", *tests]
    _run(clone, *words, "--out-table", str(tmp_path / "table5"), "--out-figure", str(tmp_path / "figure_nas"))
    for suffix in ("csv", "md", "tex", "json"):
        committed = (clone / LAPTOP / "tables" / f"table5.{suffix}").read_text()
        assert (tmp_path / f"table5.{suffix}").read_text() == committed


def test_rank_correlations_are_those_of_scipy_on_the_released_rows(clone: Path, search: Path) -> None:
    rows = pd.concat(pd.read_parquet(path) for path in (search / "accuracy").rglob("*.parquet"))
    mean = rows.pivot_table(index="network", columns="proxy", values="validation_accuracy", aggfunc="mean")
    assert mean.notna().all(axis=None)
    table = pd.read_csv(clone / LAPTOP / "tables" / "table5.csv").set_index("proxy")
    assert set(table.index) == set(mean.columns)
    for proxy, line in table.iterrows():
        names = sorted(mean.index, key=lambda name: (-mean.loc[name, proxy], name))
        assert line["chosen"] == names[0]
        for part, chosen in (("top", names[: math.ceil(len(names) / 20)]), ("all", names)):
            pair = mean.loc[chosen, proxy], mean.loc[chosen, "whole"]
            for name, correlation in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
                expected = correlation(*pair).statistic
                assert line[f"{name}_{part}"] == pytest.approx(expected, abs=1e-4, nan_ok=True)
