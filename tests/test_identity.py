"""Results of other data, other sets or other code are distinguished, whatever their names."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import condensery
from condensery.data import storage
from condensery.errors import CondenseryError
from condensery.gathering import gather
from condensery.identity import check_data, set_columns
from condensery.machine import versions
from condensery.reporting import agreement, published
from condensery.reporting.cells import cells
from condensery.rows import IDENTITY, read_rows, write_rows
from condensery.run import Checkpoint
from condensery.synthetic import SyntheticSet
from tests.scripts import ROOT, run
from tests.test_reporting import PUBLISHED, row

PACKAGE = Path(condensery.__file__).parent


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the prepared digits; ``config`` beside them has a `smoke` of fewer steps."""
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    shutil.copytree(ROOT / "config", folder.parent / "config")
    smoke = folder.parent / "config/protocols/smoke.yaml"
    smoke.write_text(smoke.read_text().replace("iterations: 30\n", "iterations: 8\n", 1))
    done = run("prepare", "--data", "digits", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def negative(digits: Path, tmp_path: Path) -> Path:
    """Return the digits prepared from other images of the same sizes, classes and normalization."""
    folder = tmp_path / "other" / "digits"
    shutil.copytree(digits.parent, folder.parent)
    images = np.load(folder / "train_images.npy")
    prepared_again(folder, 255 - images)
    return folder


def prepared_again(folder: Path, images: np.ndarray) -> None:
    """Replace the training images of a prepared folder as another preparation would."""
    np.save(folder / "train_images.npy", images)
    described = storage.Description.read(folder)
    labels = np.load(folder / "train_labels.npy")
    sums = {name: storage.file_sha256(folder / name) for name in storage.FILES}
    content = {**described.content, "train": storage.content_checksum([images], labels)}
    dataclasses.replace(described, sha256=sums, content=content).write(folder / "info.json")


def condense(prepared: Path, out: Path, method: str = "dm", **more: object) -> str:
    """Condense one image per class and return what was logged."""
    extra = [text for key, value in more.items() for text in (f"--{key}", value)]
    words = ["--prepared", prepared, "--method", method, "--ipc", 1, "--seed", 0, "--protocol", "smoke"]
    words += ["--config", prepared.parent / "config"]
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    logger = logging.getLogger("condensery")
    logger.addHandler(handler)
    with mock.patch.object(logger, "level", logging.INFO):
        done = run("condense", "--data", "digits", *words, "--out", out, *extra)
    logger.removeHandler(handler)
    assert done.returncode == 0, done.stderr
    return logged.getvalue()


def evaluate(prepared: Path, synthetic: Path, out: Path, *words: object) -> str:
    """Evaluate a set and return the errors, or nothing."""
    options = ["--prepared", prepared, "--recipe", "dsa", "--protocol", "smoke", "--networks", 1]
    done = run("evaluate", "--data", "digits", "--synthetic", synthetic, *options, "--out", out, *words)
    return done.stderr if done.returncode else ""


def stopped_at(step: int) -> mock._patch:
    """Return a context in which a checkpoint is saved after each step, and the job is stopped after one."""
    save = Checkpoint.save

    def last(self: Checkpoint, number: int, state: Any) -> None:
        save(self, number, state)
        if number >= step:
            raise KeyboardInterrupt

    return mock.patch.multiple(Checkpoint, save=last, due=lambda self: True)


def interrupted(prepared: Path, out: Path) -> None:
    """Leave the checkpoint of an interrupted condensation."""
    words = ["--prepared", prepared, "--method", "dm", "--ipc", 1, "--seed", 0, "--protocol", "smoke"]
    words += ["--config", prepared.parent / "config"]
    with stopped_at(3):
        assert run("condense", "--data", "digits", *words, "--out", out).returncode == 130


def test_a_job_does_not_go_on_with_other_data(digits: Path, negative: Path, tmp_path: Path) -> None:
    resumed, fresh = tmp_path / "resumed.safetensors", tmp_path / "fresh.safetensors"
    interrupted(digits, resumed)
    output = condense(negative, resumed)
    assert "another experiment" in output
    assert "data.train was" in output
    condense(negative, fresh)
    assert resumed.read_bytes() == fresh.read_bytes()


def test_a_job_does_not_go_on_with_the_same_images_in_another_order(digits: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "digits"
    shutil.copytree(digits.parent, other.parent)
    labels = np.load(other / "train_labels.npy")
    first, second = np.flatnonzero(labels == 0)[:2]
    images = np.load(other / "train_images.npy")
    images[[first, second]] = images[[second, first]]
    prepared_again(other, images)
    assert storage.load(other).content == storage.load(digits).content
    interrupted(digits, tmp_path / "a.safetensors")
    assert "files was" in condense(other, tmp_path / "a.safetensors")


def test_a_job_goes_on_under_another_commit_with_the_same_code(digits: Path, tmp_path: Path) -> None:
    resumed, fresh = tmp_path / "resumed.safetensors", tmp_path / "fresh.safetensors"
    interrupted(digits, resumed)
    with mock.patch.object(versions, "commit", return_value="f" * 40):
        output = condense(digits, resumed)
        condense(digits, fresh)
    assert "continues what commit" in output
    assert "another experiment" not in output
    assert resumed.read_bytes() == fresh.read_bytes()


def test_a_job_does_not_go_on_with_other_code(digits: Path, tmp_path: Path) -> None:
    interrupted(digits, tmp_path / "a.safetensors")
    with mock.patch.object(versions, "code", return_value="0" * 16):
        assert "versions.code was" in condense(digits, tmp_path / "a.safetensors")


def test_outputs_of_one_stem_have_checkpoints_of_their_own(digits: Path, tmp_path: Path) -> None:
    condense(digits, tmp_path / "other.safetensors", "random")
    interrupted(digits, tmp_path / "a.safetensors")
    kept = [path for path in tmp_path.iterdir() if "checkpoint" in path.name]
    assert len(kept) == 1
    assert not evaluate(digits, tmp_path / "other.safetensors", tmp_path / "a.parquet")
    assert kept[0].exists()


def test_parts_of_two_versions_of_the_data_are_not_joined(
    digits: Path, negative: Path, tmp_path: Path
) -> None:
    parts = [tmp_path / f"part{number}.safetensors" for number in range(2)]
    condense(digits, parts[0], "random", classes="0-4")
    condense(negative, parts[1], "random", classes="5-9")
    with pytest.raises(CondenseryError, match=r"data\.train"):
        gather([SyntheticSet.load(path) for path in parts])


def test_parts_of_one_code_and_two_commits_are_joined(digits: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"part{number}.safetensors" for number in range(2)]
    condense(digits, parts[0], "random", classes="0-4")
    with mock.patch.object(versions, "commit", return_value="f" * 40):
        condense(digits, parts[1], "random", classes="5-9")
    assert len(gather([SyntheticSet.load(path) for path in parts])) == 10


def test_a_set_is_not_evaluated_on_other_data(digits: Path, negative: Path, tmp_path: Path) -> None:
    condense(digits, tmp_path / "a.safetensors", "random")
    assert "other data" in evaluate(negative, tmp_path / "a.safetensors", tmp_path / "rows.parquet")
    assert not (tmp_path / "rows.parquet").exists()


def test_features_of_other_data_are_refused(digits: Path, negative: Path, tmp_path: Path) -> None:
    features = tmp_path / "features.safetensors"
    words = ["--data", "digits", "--seed", 0, "--protocol", "smoke", "--out", features]
    assert run("pretrain", *words, "--prepared", digits).returncode == 0
    words = ["--data", "digits", "--method", "herding", "--ipc", 1, "--seed", 0, "--protocol", "smoke"]
    words += ["--with", f"features={features}", "--out", tmp_path / "set.safetensors"]
    done = run("condense", *words, "--prepared", negative)
    assert done.returncode == 1
    assert "features.safetensors: made from other data" in done.stderr


def test_a_row_says_which_data_code_and_set_it_was_made_from(digits: Path, tmp_path: Path) -> None:
    condense(digits, tmp_path / "a.safetensors", "random")
    assert not evaluate(digits, tmp_path / "a.safetensors", tmp_path / "rows.parquet")
    written = read_rows([tmp_path / "rows.parquet"], "smoke").iloc[0]
    synthetic = SyntheticSet.load(tmp_path / "a.safetensors")
    assert written["set"] == synthetic.digest()
    assert written["set_name"] == "a.safetensors"
    assert written["code"] == written["set_code"] == versions.code()
    assert all(written[name] for name in IDENTITY)
    synthetic.images[0, 0, 0, 0] += 1e-3
    assert synthetic.digest() != written["set"]


@pytest.fixture
def imported(digits: Path, tmp_path: Path) -> list[Path]:
    """Return two foreign sets, of two methods, as .pt files."""
    files = []
    for method in ("random", "dm"):
        condense(digits, tmp_path / f"{method}.safetensors", method)
        files.append(tmp_path / f"{method}.pt")
        words = [tmp_path / f"{method}.safetensors", "--format", "pt", "--out", files[-1]]
        assert run("export_set", *words).returncode == 0
    return files


def imported_rows(digits: Path, files: list[Path], *names: str) -> list[Path]:
    """Import and evaluate sets as seeds 0, 1, ..., with method names if given."""
    found = []
    for seed, file in enumerate(files):
        back = file.with_name(f"back{seed}.safetensors")
        words = ["--name", names[seed]] if names else []
        done = run("import_set", file, "--data", "digits", "--prepared", digits, *words, "--out", back)
        assert done.returncode == 0, done.stderr
        found.append(file.with_name(f"back{seed}.parquet"))
        assert not evaluate(digits, back, found[-1], "--seed", seed)
    return found


def test_two_imported_sets_are_not_one_cell(digits: Path, imported: list[Path]) -> None:
    rows = read_rows(imported_rows(digits, imported), "smoke")
    with pytest.raises(CondenseryError, match=r"kind of set .*import_set\.py --name"):
        cells(rows, published.table("table1", PUBLISHED))


def test_imported_sets_with_names_are_cells_of_these_names(digits: Path, imported: list[Path]) -> None:
    rows = read_rows(imported_rows(digits, imported, "theirs", "mine"), "smoke")
    frame = cells(rows, published.table("table1", PUBLISHED))
    assert frame[["method", "n"]].to_numpy().tolist() == [["mine", "1x1"], ["theirs", "1x1"]]


def test_imported_sets_of_one_name_are_seeds_of_one_method(digits: Path, imported: list[Path]) -> None:
    rows = read_rows(imported_rows(digits, imported, "theirs", "theirs"), "smoke")
    assert cells(rows, published.table("table1", PUBLISHED))["n"].tolist() == ["2x1"]


def test_a_name_is_not_given_to_a_set_that_has_one(digits: Path, tmp_path: Path) -> None:
    condense(digits, tmp_path / "a.safetensors", "random")
    words = [tmp_path / "a.safetensors", "--format", "npz", "--out", tmp_path / "a.npz"]
    assert run("export_set", *words).returncode == 0
    words = [tmp_path / "a.npz", "--data", "digits", "--prepared", digits, "--name", "mine"]
    done = run("import_set", *words, "--out", tmp_path / "b.safetensors")
    assert done.returncode == 1
    assert "names the method random" in done.stderr


def pooled(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return the cells of rows."""
    return cells(pd.DataFrame([dict.fromkeys(IDENTITY, "") | each for each in rows]), NOTHING)


NOTHING = published.table("table1", PUBLISHED)
ALIKE = ("19fe1b4a4bfd085fc8fa71399505def33ba46ff7", "34b73866b611832a9b77d9b3277f6e391418447f")


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({"precision": "fp32"}, {"precision": "bf16"}, "precision"),
        ({"data": "a"}, {"data": "b"}, "version of the data"),
        ({"set_settings": "a"}, {"set_settings": "b"}, "kind of set"),
        ({"commit": "a" * 40}, {"commit": "b" * 40}, "code that may compute otherwise"),
        ({"commit": "a" * 40}, {"commit": ALIKE[0]}, "code that may compute otherwise"),
        ({"code": "a"}, {"code": "b", "commit": "b" * 40}, "code that may compute otherwise"),
        ({"set_code": "a"}, {"set_code": "b"}, "code that may compute otherwise"),
        ({"commit": f"{'a' * 40}-dirty-1"}, {"commit": f"{'a' * 40}-dirty-2"}, "code that may compute"),
    ],
)
def test_what_differs_is_not_pooled(one: dict[str, str], other: dict[str, str], message: str) -> None:
    with pytest.raises(CondenseryError, match=message):
        pooled(row(0, **one), row(1, **other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"commit": ALIKE[0]}, {"commit": ALIKE[1]}),
        ({"commit": "a" * 40, "code": "x"}, {"commit": "b" * 40, "code": "x"}),
        ({"commit": "a" * 40}, {"commit": "a" * 40, "code": "x"}),
        ({"data": "a"}, {}),
        ({"set": "a"}, {"set": "b"}),
    ],
)
def test_what_computes_alike_is_pooled(one: dict[str, str], other: dict[str, str]) -> None:
    assert pooled(row(0, **one), row(1, **other))["n"].tolist() == ["2x1"]


def test_rows_of_a_set_that_has_changed_are_not_pooled() -> None:
    with pytest.raises(CondenseryError, match="version of one set in one cell"):
        pooled(row(0, 0, set="a"), row(0, 1, set="b"))


def test_rows_without_these_columns_still_load_and_pool(tmp_path: Path) -> None:
    write_rows([row(0), row(1)], tmp_path / "new.parquet")
    table = pq.read_table(tmp_path / "new.parquet").drop_columns(list(IDENTITY))
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "old.parquet")  # nor had they a digest
    rows = read_rows([tmp_path / "old.parquet"], "test")
    assert cells(rows, NOTHING)["n"].tolist() == ["2x1"]
    assert cells(rows.drop(columns=list(IDENTITY)), NOTHING)["n"].tolist() == ["2x1"]


def test_what_says_nothing_of_its_data_is_not_refused() -> None:
    check_data("a set", {}, {"train": "a", "test": "b", "seen_as": "c"})
    check_data("a set", {"data": {"train": "a", "test": "x", "seen_as": "c"}}, {"train": "a", "seen_as": "c"})
    assert set_columns([])["set"] == ""


@pytest.mark.parametrize(
    ("file", "before", "after", "same"),
    [
        ("methods/dm.py", "\ndef ", "\n# a comment\ndef ", True),
        ("methods/dm.py", '"""', '"""Not the same. ', True),
        ("methods/dm.py", "\n\n\n", "\n\n\n\n", True),
        ("reporting/cells.py", "def ", "x = 1\ndef ", True),
        ("methods/dm.py", "\ndef ", "\nx = 1\ndef ", False),
        ("networks/convnet.py", "def ", "x = 1\ndef ", False),
        ("machine/winograd.py", "def ", "x = 1\ndef ", False),
        ("commands/condense.py", "def ", "x = 1\ndef ", False),
    ],
)
def test_code_is_what_computes(tmp_path: Path, file: str, before: str, after: str, same: bool) -> None:
    package = tmp_path / "condensery"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    known = versions.code_of(package)
    text = (package / file).read_text()
    assert before in text
    (package / file).write_text(text.replace(before, after, 1))
    assert (versions.code_of(package) == known) == same


def test_everything_listed_as_not_computing_is_there() -> None:
    assert all((PACKAGE / name).exists() for name in versions.COMPUTES_NOTHING)


def test_versions_that_compute_alike_say_why() -> None:
    listed = agreement._listed(agreement.ALIKE)
    assert any(set(ALIKE) <= set(each) for each in listed)
    text = (ROOT / "src/condensery/reporting/alike.yaml").read_text()
    assert text.count("because:") == len(listed)


def test_a_checkpoint_says_what_differs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Checkpoint(tmp_path / "x", {"parameters": {"iterations": 50, "steps": (1, 2)}}).save(1, {})
    again = Checkpoint(tmp_path / "x", {"parameters": {"iterations": 50, "steps": (1, 2)}})
    assert again.load() == (1, {})
    assert Checkpoint(tmp_path / "x", {"parameters": {"iterations": 60, "steps": (1, 2)}}).load() is None
    assert "parameters.iterations was 50, is 60" in caplog.text
    assert json.dumps(again.identity)
