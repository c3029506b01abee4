"""Entries of the leaderboard match their digests, and an entry that does not is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from condensery import rows
from condensery.errors import CondenseryError
from condensery.identity import digest
from condensery.scoring import entries, report
from condensery.scoring.cells import random_set
from tests.scripts import ROOT, run
from tests.test_scoring import COUNTS, JOB, scored

BOARD = ROOT / "leaderboard"


@pytest.mark.parametrize("path", sorted(BOARD.rglob(entries.FILE)), ids=lambda path: path.parent.name)
def test_an_entry_is_what_it_says(path: Path) -> None:
    entries.verify(path.parent)


@pytest.mark.parametrize("path", sorted(BOARD.glob("baselines/*")), ids=lambda path: path.name)
def test_released_rows_are_those_that_were_written(path: Path) -> None:
    table = rows.read_table(path).to_pylist()
    assert rows.kind_of(path) == rows.EVALUATION
    assert {row["method"].partition("-")[0] for row in table} <= {"random", "whole"}
    assert len({row["code"] for row in table}) == len({row["data"] for row in table}) == 1
    place = f"{table[0]['dataset']}-{table[0]['evaluate_network']}-{table[0]['method']}"
    assert path.name.startswith(place)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a set, its score and its entry."""
    folder = tmp_path_factory.mktemp("board")
    mine = random_set(JOB, COUNTS, 1, 7)
    mine.save(folder / "mine.safetensors")
    report.write([scored(mine, recipes=("plain",))], folder / "score")
    words = (
        "--score",
        "score",
        "--set",
        "mine.safetensors",
        "--reference",
        "https://example.org",
        "--out",
        "board/mine",
    )
    done = run("rows", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_an_entry_has_the_figures_of_its_score(finished: Path) -> None:
    (figures,) = entries.verify(finished / "board/mine")["figures"]
    (line,) = json.loads((finished / "score/score.json").read_text())["sets"][0]["lines"]
    for name in ("accuracy", "random", "gain", "recovery", "lrs"):
        assert figures[name]["value"] == pytest.approx(line[name]["value"], abs=1e-5)
    shown = run("rows", "--verify", "board", cwd=finished).stdout
    assert "| [mine](https://example.org) | convnet-d2-w16 | plain | 2 |" in shown


def changed(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished / "board/mine", tmp_path / "entry")


def test_an_entry_that_was_changed_is_refused(finished: Path, tmp_path: Path) -> None:
    folder = changed(finished, tmp_path)
    entry = json.loads((folder / entries.FILE).read_text())
    entry["figures"][0]["accuracy"]["value"] += 1
    (folder / entries.FILE).write_text(json.dumps(entry))
    with pytest.raises(CondenseryError, match="was changed by hand"):
        entries.verify(folder)
    # Also if the digest was adapted.
    del entry["digest"]
    (folder / entries.FILE).write_text(json.dumps(entry | {"digest": digest(entry)}))
    with pytest.raises(CondenseryError, match="its figures are not those of its rows"):
        entries.verify(folder)


def test_other_rows_or_another_set_are_refused(finished: Path, tmp_path: Path) -> None:
    folder = changed(finished, tmp_path)
    kept = rows.read_table(folder / entries.ROWS).to_pylist()
    kept[0]["accuracy"] = 99.0
    rows.write_rows(kept, folder / entries.ROWS)
    with pytest.raises(CondenseryError, match=r"rows\.parquet: other rows than entry\.json states"):
        entries.verify(folder)
    shutil.copy(finished / "board/mine" / entries.ROWS, folder)
    other = random_set(JOB, COUNTS, 1, 8)
    other.save(folder / entries.SET)
    with pytest.raises(CondenseryError, match=r"set\.safetensors: its SHA-256 is not that of entry\.json"):
        entries.verify(folder)
    with pytest.raises(CondenseryError, match="is not a score of"):
        entries.make(
            finished / "score", folder / entries.SET, tmp_path / "new", reference="https://example.org"
        )
    with pytest.raises(CondenseryError, match=r"nothing: holds no entries|holds no entries"):
        entries.all_verified(tmp_path / "nothing")


def test_a_set_that_is_stored_elsewhere_is_named(finished: Path, tmp_path: Path) -> None:
    where = {"reference": "https://example.org", "url": "https://example.org/mine.safetensors"}
    entries.make(finished / "score", finished / "mine.safetensors", tmp_path / "entry", **where)
    assert not (tmp_path / "entry" / entries.SET).exists()
    assert entries.verify(tmp_path / "entry")["set"]["url"] == where["url"]


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    done = run("rows", "--score", "x", cwd=tmp_path)
    assert done.stderr == "error: give --verify alone, or --score, --set, --reference and --out together\n"
