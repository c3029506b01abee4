"""Atomic files and checkpoints: a file under its final name is complete, whatever happens to the writer."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from condensery.errors import CondenseryError
from condensery.files import atomic, sweep
from condensery.run import Checkpoint, checkpoint

LIMIT = 600
"""Seconds after which a process that does not go on fails its test."""

SOURCE = Path(checkpoint.__file__).parents[2]
STATE = {
    "images": torch.arange(24.0).reshape(2, 3, 2, 2),
    "momentum": torch.tensor([0.1, -2.5], dtype=torch.float64),
    "counts": torch.tensor([3, 1, 4]),
    "seen": torch.tensor([True, False]),
    "scalar": torch.tensor(7, dtype=torch.uint8),
}


def start(code: str, path: Path) -> subprocess.Popen:
    """Start a Python process that has a Checkpoint on `path` as `saved`."""
    head = "import os, signal, sys, torch\nfrom condensery.run import Checkpoint\n"
    head += "saved = Checkpoint(sys.argv[1], 'run')\n"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    return subprocess.Popen([sys.executable, "-c", head + code, str(path)], env=environment)


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "run.safetensors"
    Checkpoint(path, "run").save(12, STATE)
    step, state = Checkpoint(path, "run").load()
    assert step == 12
    assert state.keys() == STATE.keys()
    for name, value in STATE.items():
        assert state[name].dtype == value.dtype
        assert state[name].shape == value.shape
        assert torch.equal(state[name], value)


def test_views_of_one_tensor_and_other_layouts_are_saved_by_value(tmp_path: Path) -> None:
    whole = torch.arange(96.0).reshape(2, 3, 4, 4)
    state = {
        "a": whole[0],
        "b": whole[:, 1],
        "c": whole.to(memory_format=torch.channels_last),
        "d": whole.clone().requires_grad_(),
    }
    saved = Checkpoint(tmp_path / "run.safetensors", "run")
    saved.save(0, state)
    _, loaded = saved.load()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_nothing_to_resume_without_a_file(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "run.safetensors", "run").load() is None


def test_a_loaded_state_survives_the_next_save(tmp_path: Path) -> None:
    saved = Checkpoint(tmp_path / "run.safetensors", "run")
    saved.save(1, {"x": torch.ones(1000)})
    _, state = saved.load()
    saved.save(2, {"x": torch.zeros(1000)})
    assert torch.equal(state["x"], torch.ones(1000))


def test_a_checkpoint_of_another_experiment_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.safetensors"
    Checkpoint(path, "ipc 10").save(5, STATE)
    with caplog.at_level(logging.WARNING):
        assert Checkpoint(path, "ipc 50").load() is None
    assert len(caplog.messages) == 1
    assert str(path) in caplog.messages[0]
    assert "another experiment" in caplog.messages[0]


def test_a_run_that_has_begun_takes_up_no_state_of_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run.safetensors"
    first, second = Checkpoint(path, "run"), Checkpoint(path, "run")
    assert first.load() is None
    second.save(5, STATE)
    with caplog.at_level(logging.WARNING):
        assert first.load() is None
        first.save(1, STATE)
        second.save(6, STATE)
        assert first.load() is None
    (message,) = caplog.messages  # not again in every stage
    assert "another run" in message
    first.save(2, STATE)
    assert first.load()[0] == 2
    assert second.load() is None
    assert Checkpoint(path, "run").load()[0] == 2


@pytest.mark.parametrize("kept", [0, 4, 60, 0.5, -1])
def test_a_truncated_checkpoint_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float
) -> None:
    path = tmp_path / "run.safetensors"
    saved = Checkpoint(path, "run")
    saved.save(5, STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if kept == 0.5 else int(kept)])
    with caplog.at_level(logging.WARNING):
        assert saved.load() is None
    assert len(caplog.messages) == 1
    assert str(path) in caplog.messages[0]
    saved.save(6, STATE)
    assert saved.load()[0] == 6


def test_a_foreign_file_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_file(STATE, path)
    assert Checkpoint(path, "run").load() is None
    save_file(STATE, path, metadata={"condensery": '{"schema": "synthetic-set/1"}'})
    assert Checkpoint(path, "run").load() is None


def test_due_follows_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(checkpoint, "monotonic", lambda: now)
    saved = Checkpoint(tmp_path / "run.safetensors", "run", every_seconds=60)
    always = Checkpoint(tmp_path / "other.safetensors", "run", every_seconds=0)
    assert not saved.due()
    assert always.due()
    now = 1059.9
    assert not saved.due()
    now = 1060.0
    assert saved.due()
    saved.save(1, {})
    assert not saved.due()
    always.save(1, {})
    assert always.due()


def test_killed_before_the_rename_the_earlier_checkpoint_stands(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    code = "saved.save(1, {'x': torch.ones(9)})\n"
    code += "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
    code += "saved.save(2, {'x': torch.zeros(9)})\n"
    assert start(code, path).wait(LIMIT) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2, "the kill did not fall inside a save"
    saved = Checkpoint(path, "run")
    step, state = saved.load()
    assert step == 1
    assert torch.equal(state["x"], torch.ones(9))
    saved.remove()
    assert list(tmp_path.iterdir()) == []


def test_killed_at_any_time_the_checkpoint_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    code = "step = 0\nwhile True:\n    step += 1\n"
    code += "    saved.save(step, {'x': torch.full((300_000,), step)})\n"
    process = start(code, path)
    try:
        deadline = time.monotonic() + LIMIT
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        # Readers never see a partial file while it is written.
        for _ in range(20):
            step, state = Checkpoint(path, "run").load()
            assert (state["x"] == step).all()
    finally:
        process.kill()
        process.wait()
    step, state = Checkpoint(path, "run").load()
    assert state["x"].shape == (300_000,)
    assert (state["x"] == step).all()


def test_remove_leaves_other_jobs_alone(tmp_path: Path) -> None:
    mine, other = Checkpoint(tmp_path / "a[0].st", "run"), Checkpoint(tmp_path / "b.st", "run")
    mine.save(0, STATE)
    other.save(0, STATE)
    (tmp_path / ".partial-00000000-a[0].st").touch()
    (tmp_path / ".partial-00000000-b.st").touch()
    mine.remove()
    mine.remove()
    assert {path.name for path in tmp_path.iterdir()} == {"b.st", ".partial-00000000-b.st"}


def test_atomic_shows_nothing_before_the_end_and_replaces_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table.csv"
    with atomic(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with atomic(path) as temporary:
        temporary.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert os.listdir(path.parent) == ["table.csv"]


@pytest.mark.parametrize(
    ("folder", "module", "operation"), [(True, os, "open"), (True, fcntl, "flock"), (False, fcntl, "flock")]
)
def test_atomic_begins_anew_when_another_run_sweeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool, module: ModuleType, operation: str
) -> None:
    path, inner = tmp_path / "table", getattr(module, operation)
    swept: list[str] = []

    def after_a_sweep(*given: Any, **named: Any) -> Any:
        # As another run does between the creation of the name and its lock.
        if not swept and (left := os.listdir(tmp_path)):
            swept.extend(left)
            sweep(path)
            assert os.listdir(tmp_path) == []
        return inner(*given, **named)

    monkeypatch.setattr(module, operation, after_a_sweep)
    with atomic(path, folder=folder) as temporary:
        (temporary / "a" if folder else temporary).write_text("whole")
    assert len(swept) == 1
    assert (path / "a" if folder else path).read_text() == "whole"
    assert os.listdir(tmp_path) == ["table"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_leaves_the_old_file_when_the_writer_fails(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half() -> None:
        with atomic(path) as temporary:
            temporary.write_text("ha")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_atomic_makes_folders_but_never_replaces_a_full_one(tmp_path: Path) -> None:
    folder = tmp_path / "images"

    def write() -> None:
        with atomic(folder, folder=True) as temporary:
            (temporary / "0").mkdir(parents=True)
            (temporary / "0" / "a.png").write_text("a")

    write()
    assert (folder / "0" / "a.png").read_text() == "a"
    (folder / "0" / "a.png").write_text("mine")
    with pytest.raises(CondenseryError, match="exists and is not an empty folder"):
        write()
    assert (folder / "0" / "a.png").read_text() == "mine"
    assert os.listdir(tmp_path) == ["images"]


def test_files_are_readable_by_others_as_the_umask_says(tmp_path: Path) -> None:
    path, plain = tmp_path / "run.safetensors", tmp_path / "plain"
    Checkpoint(path, "run").save(0, STATE)
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_writer_left_is_swept_by_the_next_and_what_a_living_one_writes_is_kept(
    tmp_path: Path, folder: bool
) -> None:
    path = tmp_path / "set.png"

    def write(temporary: Path, text: str) -> None:
        (temporary / "0.png" if folder else temporary).write_text(text)

    def begin_and_die() -> None:
        with atomic(path, folder=folder) as temporary:
            write(temporary, "ha")
            os._exit(9)

    child = os.fork()
    if not child:
        begin_and_die()
    os.waitpid(child, 0)
    other = tmp_path / ".partial-00000000-my-set.png"
    other.touch()
    assert len(os.listdir(tmp_path)) == 2
    with atomic(path, folder=folder) as mine:
        write(mine, "whole")
        if folder:
            with pytest.raises(KeyError), atomic(path, folder=True):
                raise KeyError
        else:
            with atomic(path) as theirs:
                theirs.write_text("theirs")
        assert mine.exists()
    assert sorted(os.listdir(tmp_path)) == [other.name, "set.png"]
    assert (path / "0.png" if folder else path).read_text() == "whole"
