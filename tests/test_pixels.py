"""Snapshots of the pixels: their contents, their times, and resumed runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from condensery import methods
from condensery.errors import CondenseryError
from condensery.methods.pixels import Pixels
from condensery.run import Checkpoint, Recorder, Run
from tests import problems, test_gradient_matching
from tests.interrupted import Stopped, Stopping


def problem(method: str, iterations: int):
    make = test_gradient_matching.problem if method == "dsa" else problems.problem
    return make(network="convnet-d2-w8", parameters={"iterations": iterations})


@pytest.mark.parametrize("method", ["dm", "dsa"])
def test_a_snapshot_is_what_a_run_that_ends_there_makes(method):
    recorder = Recorder([1, 3, 4])
    finished = methods.get(method).condense(problem(method, 4), run=Run(recorder=recorder))
    assert [s.step for s in recorder.snapshots] == [1, 3, 4]
    for snapshot in recorder.snapshots:
        shorter = methods.get(method).condense(problem(method, snapshot.step))
        assert torch.equal(snapshot.images, shorter.images)
    assert torch.equal(snapshot.images, finished.images)
    seconds = [s.seconds for s in recorder.snapshots]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


@pytest.mark.parametrize("method", ["dm", "dsa"])
def test_a_stopped_run_has_the_same_snapshots(tmp_path: Path, method: str):
    def run(recorder: Recorder, checkpoint: Checkpoint | None = None) -> None:
        methods.get(method).condense(problem(method, 4), run=Run(checkpoint, recorder=recorder))

    undisturbed, lost, resumed = (Recorder([1, 2, 4]) for _ in range(3))
    run(undisturbed)
    for last in (2, 3):
        with pytest.raises(Stopped):
            run(lost, Stopping(tmp_path / "state", last))
    run(resumed, Stopping(tmp_path / "state"))
    assert [s.step for s in resumed.snapshots] == [1, 2, 4]
    for before, after in zip(undisturbed.snapshots, resumed.snapshots, strict=True):
        assert torch.equal(before.images, after.images)
    assert resumed.snapshots[0].seconds == lost.snapshots[0].seconds  # taken once, in the first run


def test_a_run_ends_after_its_last_snapshot_and_one_with_later_snapshots_goes_on(tmp_path: Path):
    def run(steps: list[int]) -> tuple[Recorder, list[int]]:
        recorder, checkpoint = Recorder(steps), Stopping(tmp_path / "state")
        methods.get("dm").condense(problem("dm", 9), run=Run(checkpoint, recorder=recorder))
        return recorder, checkpoint.saved

    assert run([1, 3])[1] == [1, 2, 3]
    longer, saved = run([1, 3, 5])
    assert saved == [4, 5]
    assert [s.step for s in longer.snapshots] == [1, 3, 5]
    alone = methods.get("dm").condense(problem("dm", 5))
    assert torch.equal(longer.snapshots[-1].images, alone.images)
    shorter, saved = run([1, 3])  # the checkpoint is of a later step, and has what is wanted
    assert ([s.step for s in shorter.snapshots], saved) == ([1, 3], [])
    for steps in ([2], [1, 4, 6]):
        with pytest.raises(CondenseryError, match=f"^--snapshots {steps[len(steps) // 2]}: the earlier run"):
            run(steps)


def test_the_clock_counts_iterations_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = 1000.0

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    class SlowDisk(Stopping):
        def save(self, step, state):
            pass_time(100)
            super().save(step, state)

    class SlowRecorder(Recorder):
        def record(self, step, seconds, images, learning_rate=None):
            pass_time(10)
            super().record(step, seconds, images, learning_rate)

    def run(checkpoint: Checkpoint) -> list[tuple[int, float]]:
        recorder = SlowRecorder([1, 3, 4, 6])
        pixels = Pixels(problem("dm", 6), Run(checkpoint, recorder=recorder))
        for iteration in pixels.iterations():
            pass_time(1 + iteration)
        return [(s.step, s.seconds) for s in recorder.snapshots]

    monkeypatch.setattr("condensery.run.parts.perf_counter", lambda: now)
    with pytest.raises(Stopped):
        run(SlowDisk(tmp_path / "state", 4))
    pass_time(86400)
    # Iteration i takes i + 1 seconds: 1, 1 + 2 + 3, ...
    assert run(SlowDisk(tmp_path / "state")) == [(1, 1.0), (3, 6.0), (4, 10.0), (6, 21.0)]
    assert run(Checkpoint(tmp_path / "none", "test")) == [(1, 1.0), (3, 6.0), (4, 10.0), (6, 21.0)]
