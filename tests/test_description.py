"""Descriptions by `condensery show`, against known contents of the files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from condensery.commands import show
from condensery.errors import CondenseryError
from condensery.files import write_tensors
from condensery.reporting import published
from condensery.reporting.description import describe
from condensery.reporting.layout import ABSENT, TIMES
from condensery.rows import EVALUATION, MEMORY, SEARCH, SNAPSHOT, Kind, write_rows
from condensery.synthetic import SyntheticSet

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "config" / "published"
TABLES = ROOT / "results" / "laptop" / "tables"

ROW = {
    "protocol": "smoke",
    "dataset": "cifar10",
    "method": "dm",
    "ipc": 10,
    "condense_network": "convnet",
    "evaluate_network": "convnet",
    "recipe": "dsa",
    "images": 100,
    "epochs": 7,
    "train_seconds": 1.0,
    "test_seconds": 1.0,
    "device": "cpu",
    "precision": "fp32",
    "torch": "2.15.0",
    "python": "3.11.7",
    "condensery": "0.1.0",
    "commit": "abc",
}


def rows(path: Path, kind: Kind, lines: list[dict]) -> Path:
    """Write rows: each is `ROW` with changes, with 1 or "x" in the other columns of the kind."""
    filled = {f.name: "x" if str(f.type) == "string" else f.type.to_pandas_dtype()(1) for f in kind.schema}
    filled |= {name: value for name, value in ROW.items() if name in filled}
    write_rows([filled | line for line in lines], path, kind)
    return path


def facts(text: str) -> dict[str, str]:
    """Return the settings that a description lists."""
    return dict(line.split(maxsplit=1) for line in text.splitlines()[1:] if len(line.split()) > 1)


def test_a_set(tmp_path: Path) -> None:
    experiment = {"method": "dm", "parameters": {"iterations": 20000, "lr_img": 1.0}, "seed": 3}
    provenance = {"experiment": experiment, "versions": {"torch": "2.15.0"}, "precision": "tf32"}
    whole = SyntheticSet(
        torch.zeros(4, 3, 8, 6), torch.tensor([0, 0, 1, 1]), ("a", "b"), (0.0,) * 3, (1.0,) * 3, provenance
    )
    whole.save(tmp_path / "set.safetensors")
    shown = describe(tmp_path / "set.safetensors")
    assert shown.splitlines()[0].endswith("set.safetensors: synthetic set, 4 images of 3x8x6, 2 classes")
    assert facts(shown) == {
        "method": "dm",
        "parameters.iterations": "20000",
        "parameters.lr_img": "1.0",
        "seed": "3",
        "versions.torch": "2.15.0",
        "precision": "tf32",
    }
    whole.provenance = provenance | {"shard": [1]}
    whole.save(tmp_path / "part.safetensors")
    assert "part of a synthetic set, 4 images of 3x8x6, 1 of 2 classes" in describe(
        tmp_path / "part.safetensors"
    )


def test_an_imported_set_says_that_it_does_not_know_how_it_was_made(tmp_path: Path) -> None:
    SyntheticSet(torch.zeros(1, 1, 4, 4), torch.tensor([[0.5, 0.5]]), ("a", "b"), (0.0,), (1.0,)).save(
        tmp_path / "soft.safetensors"
    )
    shown = describe(tmp_path / "soft.safetensors")
    assert "2 classes, soft labels" in shown
    assert facts(shown)["provenance"].startswith("none")


def test_rows_beside_the_published_value(tmp_path: Path) -> None:
    networks = [(0, 0, 46.0), (0, 1, 50.0), (1, 0, 44.0), (1, 1, 48.0)]
    file = rows(
        tmp_path / "rows.parquet",
        EVALUATION,
        [dict(set_seed=s, network_seed=n, accuracy=a) for s, n, a in networks],
    )
    shown = describe(file, PUBLISHED)
    # The root of the mean of (-1, 3, -3, 1) squared is 2.236; DM Table 1 prints 48.9 ± 0.6.
    assert shown.splitlines()[-1].split() == [
        *("dm", "47.0", "±", "2.2", f"2{TIMES}2", "48.9", "±", "0.6", "(DM", "Table", "1)")
    ]
    assert facts(shown)["epochs"] == "7"
    without = describe(file)
    assert "48.9" not in without
    assert "not shown, since" in without


def test_another_recipe_has_no_published_value(tmp_path: Path) -> None:
    line = {"recipe": "dc", "set_seed": 0, "network_seed": 0, "accuracy": 40.0}
    shown = describe(rows(tmp_path / "rows.parquet", EVALUATION, [line]), PUBLISHED)
    assert shown.splitlines()[-1].split() == ["dm", "40.0", f"1{TIMES}1", ABSENT]


@pytest.mark.parametrize("kind", [MEMORY, SNAPSHOT, SEARCH], ids=["memory", "snapshot", "search"])
def test_other_rows(kind: Kind, tmp_path: Path) -> None:
    accuracy = "validation_accuracy" if kind is SEARCH else "accuracy"
    seeds = [{"network_seed": s} | ({"repeat": s} if kind is SEARCH else {}) for s in (0, 1)]
    empty = {"test_accuracy": None} if kind is SEARCH else {}
    lines = [seed | empty | {accuracy: a} for seed, a in zip(seeds, (10.0, 20.0), strict=True)]
    shown = describe(rows(tmp_path / "rows.parquet", kind, lines), PUBLISHED)
    head, last = shown.splitlines()[0], shown.splitlines()[-1]
    assert head.endswith(f"rows of {kind.script}, 2 in all")
    assert last.split() == ["15.0", "±", "5.0", "2"]


@pytest.mark.parametrize("path", [path for path in TABLES.glob("*.csv") if ".cost." not in path.name])
def test_a_released_table_shows_its_numbers(path: Path) -> None:
    shown = describe(path)
    with path.open(newline="") as file:
        for cell in csv.DictReader(file):
            if cell.get("std"):
                assert f"{float(cell['mean']):.1f} ± {float(cell['std']):.1f}" in shown


def test_a_published_accuracy_comes_once() -> None:
    frame = published.accuracies(PUBLISHED)
    named = frame.assign(
        on=frame["condense_network"].where(frame["condense_network"] != "", frame["evaluate_network"])
    )
    assert not named.duplicated(["dataset", "ipc", "method", "on", "evaluate_network"]).any()
    assert len(frame) > len(published.table("table1", PUBLISHED))


def test_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)}, {"b": 1})
    (tmp_path / "no.safetensors").write_text("damaged")
    (tmp_path / "no.parquet").write_text("damaged")
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    (tmp_path / "no.txt").write_text("")
    for name in ("other.safetensors", "no.safetensors", "no.parquet", "no.csv", "no.txt", "absent.csv"):
        with pytest.raises(CondenseryError, match=name):
            describe(tmp_path / name)


def test_the_command_shows_every_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    files = [str(TABLES / f"{name}.csv") for name in ("table1", "continual5")]
    monkeypatch.setattr("sys.argv", ["show", *files])
    show.main()
    shown = capsys.readouterr().out
    assert [line.partition(": ")[0] for line in shown.splitlines() if ".csv: " in line] == files
