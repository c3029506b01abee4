"""The scripts of continual learning: from memories to rows, and resuming."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from condensery import data
from condensery.errors import CondenseryError
from condensery.rows import MEMORY, read_rows
from condensery.run import checkpoint

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    entries = yaml.safe_load((ROOT / "config/datasets.yaml").read_text())
    for name in ("digits", "digits_inverted"):
        data.prepare(name, entries[name], folder, folder / name)
    return folder


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs a script in this process, in the repository's folder."""
    monkeypatch.chdir(ROOT)

    def run(script: str, *arguments: object) -> None:
        words = [f"scripts/{script}.py", *map(str, arguments), "--protocol", "smoke", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", words)
        importlib.import_module(f"condensery.commands.{script}").main()

    return run


@pytest.fixture
def classes(run, prepared, tmp_path):
    """Return a function that learns digits in two steps, with small networks, and returns the rows."""
    digits = ("--data", "digits", "--prepared", prepared / "digits")
    kept = tmp_path / "random.safetensors"
    run("condense", *digits, "--method", "random", "--ipc", 2, "--seed", 1, "--out", kept)

    def learn(name: str, *, memory: Path = kept, steps: int = 2) -> pd.DataFrame:
        out = tmp_path / f"{name}.parquet"
        options = ("--steps", steps, "--order", 1, "--memory", memory, "--network", "mlp", "--networks", 2)
        run("continual", *digits, *options, "--out", out)
        return read_rows([out], "smoke", MEMORY)

    return learn


@pytest.fixture
def domains(run, prepared, tmp_path):
    """Return a function that learns digits, then inverted digits, and returns the rows."""
    kept = tmp_path / "rgb.safetensors"
    digits = ("--data", "digits", "--prepared", prepared / "digits", "--shape", "3x8x8")
    run("condense", *digits, "--method", "random", "--ipc", 2, "--seed", 0, "--out", kept)
    both = ("--data", "digits", "digits_inverted", "--prepared", prepared / "digits")

    def learn(name: str, *, memory: tuple[Path, ...] = (kept,)) -> pd.DataFrame:
        out = tmp_path / f"{name}.parquet"
        options = (prepared / "digits_inverted", "--memory", *memory, "--network", "mlp", "--networks", 1)
        run("continual_domains", *both, *options, "--seed", 3, "--out", out)
        return read_rows([out], "smoke", MEMORY)

    return learn


def test_a_row_says_what_was_seen_and_kept(classes):
    rows = classes("rows")
    assert sorted(rows["step"]) == [1, 1, 2, 2]
    for step, group in rows.groupby("step"):
        assert set(group["classes_seen"]) == {5 * step}
        assert set(group["images"]) == set(group["memory_images"]) == {10 * step}
        assert set(group["memory_bytes"]) == {10 * step * 64 * 4}
        assert set(group["memory_bytes_8bit"]) == {10 * step * 64}
    assert rows["network_seed"].nunique() == 4
    assert set(rows["method"]) == {"random"}
    assert set(rows["condense_network"]) == {"convnet"}


def test_a_sequence_has_a_row_for_every_task_tested(domains):
    rows = domains("rows")
    tested = [tuple(row) for row in rows[["distillation", "step", "task", "tested"]].to_numpy()]
    assert sorted(tested) == sorted(
        (distillation, *step)
        for distillation in (True, False)
        for step in (
            (1, "digits", "digits"),
            (2, "digits_inverted", "digits"),
            (2, "digits_inverted", "digits_inverted"),
        )
    )
    first = rows[rows["step"] == 1]
    assert first["accuracy"].nunique() == 1  # on the first task both lines are the same network
    assert set(first["images"]) == {1442}
    assert set(rows[rows["step"] == 2]["images"]) == {1442 + 20}
    assert set(rows["network_seed"]) == {3000}


def test_a_set_of_the_last_task_is_for_training_on_the_joint_sets(domains, run, prepared, tmp_path):
    last = tmp_path / "last.safetensors"
    inverted = ("--data", "digits_inverted", "--prepared", prepared / "digits_inverted")
    run("condense", *inverted, "--method", "random", "--ipc", 2, "--seed", 0, "--out", last)
    rows = domains("rows", memory=(tmp_path / "rgb.safetensors", last))
    joint = rows[rows["recipe"] == "dsa"]
    assert joint[["step", "images", "memory_images", "epochs", "distillation"]].to_numpy().tolist() == [
        [1, 20, 0, 20, False],
        *[[2, 40, 20, 20, False]] * 2,
    ]
    assert len(rows) == 3 * len(joint)


class Stopped(Exception):
    """Raised to interrupt a job."""


@pytest.mark.parametrize(
    ("kind", "stop_at"),
    [
        ("classes", 3),
        pytest.param("classes", 70, marks=pytest.mark.slow),
        ("domains", 2),
        pytest.param("domains", 8, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_job_goes_on_where_it_was(kind, stop_at, monkeypatch, request, tmp_path):
    learn = request.getfixturevalue(kind)
    save, done = checkpoint.Checkpoint.save, []

    def counted(self, step, state):
        save(self, step, state)
        done.append(step)
        if len(done) == stop_at and (tmp_path / "whole.parquet").exists():
            raise Stopped

    monkeypatch.setattr(checkpoint.Checkpoint, "due", lambda self: True)
    monkeypatch.setattr(checkpoint.Checkpoint, "save", counted)
    whole = learn("whole")
    total = len(done)
    done.clear()
    with pytest.raises(Stopped):
        learn("resumed")
    assert not (tmp_path / "resumed.parquet").exists()
    again = learn("resumed")
    same = ["step", "distillation", "network_seed", "tested", "accuracy"]
    pd.testing.assert_frame_equal(again[same], whole[same])
    # No saved work is repeated, except that a finished task may be saved a second time.
    assert len(done) <= total + 3
    assert not list(tmp_path.glob(".*checkpoint"))


def test_a_memory_that_does_not_fit_is_refused(classes, domains, run, prepared, tmp_path):
    with pytest.raises(CondenseryError, match="evenly into 3 steps"):
        classes("rows", steps=3)
    half = tmp_path / "half.safetensors"
    digits = ("--data", "digits", "--prepared", prepared / "digits", "--only", "0-4")
    run("condense", *digits, "--method", "random", "--ipc", 2, "--seed", 1, "--out", half)
    with pytest.raises(CondenseryError, match="0 images of class"):
        classes("rows", memory=half)
    with pytest.raises(CondenseryError, match="give one of every data set"):
        domains("rows", memory=(half, half, half))
    with pytest.raises(CondenseryError, match="1x8x8"):
        domains("rows", memory=(half,))
    assert not (tmp_path / "rows.parquet").exists()


def test_inverted_digits_are_the_digits_inverted(prepared):
    digits, inverted = (data.load(prepared / name) for name in ("digits", "digits_inverted"))
    for plain, other in ((digits.train, inverted.train), (digits.test, inverted.test)):
        assert np.array_equal(np.repeat(255 - plain.images, 3, axis=1), other.images)
        assert np.array_equal(plain.labels, other.labels)
