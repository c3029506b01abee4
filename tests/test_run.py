"""Runs: the states that are resumed, those that are not, and the progress of stages."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from condensery.progress import Progress
from condensery.run import Checkpoint, Recorder, Run, Stopwatch, parts


class Sum:
    """Work that adds up the numbers of its steps."""

    def __init__(self) -> None:
        self.total = 0

    def state(self):
        return {"total": torch.tensor(self.total)}

    def restore(self, state):
        self.total = int(state["total"])


def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "state", "test", every_seconds=0)


def add(run: Run, total: int, work: Sum) -> list[int]:
    done = []
    for step in run.steps(total, work):
        work.total += step
        done.append(step)
    return done


def test_a_stopped_run_goes_on_with_the_state_of_its_last_step(tmp_path: Path) -> None:
    run, work = Run(checkpoint(tmp_path)), Sum()
    assert add(run, 3, Sum()) == [0, 1, 2]
    assert add(run, 5, work) == [3, 4]
    assert work.total == 0 + 1 + 2 + 3 + 4


def test_parts_come_back_each_with_its_own_state(tmp_path: Path) -> None:
    first = {"a": Sum(), "b": Sum(), "snapshots": Recorder([7])}
    first["a"].total, first["b"].total = 1, 2
    Run(checkpoint(tmp_path)).carrying(first).save(4)
    again = {"a": Sum(), "b": Sum(), "snapshots": Recorder([7])}
    assert Run(checkpoint(tmp_path)).carrying(again).resume() == 4
    assert (again["a"].total, again["b"].total, again["snapshots"].snapshots) == (1, 2, [])


def test_the_state_of_other_parts_is_not_taken_up(tmp_path: Path) -> None:
    saved, other = Sum(), Sum()
    saved.total = 5
    Run(checkpoint(tmp_path)).carrying({"seeds 0 1": saved}).save(2)
    assert Run(checkpoint(tmp_path)).carrying({"seeds 0": other}).resume() == 0
    assert other.total == 0


def test_a_stage_reports_its_steps_among_those_of_the_whole(capsys: pytest.CaptureFixture) -> None:
    with Progress("test", 20, "steps", every_seconds=0) as progress:
        Run(progress=progress).counting(before=10, times=3).report(2, loss=torch.tensor(0.5))
    assert capsys.readouterr().err.startswith("test 16/20 steps  loss 0.5")
    with Progress("test", 50, "steps", every_seconds=0) as progress:
        Run(progress=progress).counting(before=10, times=3).counting(before=4, times=2).report(1)
    assert capsys.readouterr().err.startswith("test 28/50 steps")  # 10 + 3 (4 + 2)


@pytest.mark.parametrize("stop_at", range(1, 10))
def test_work_of_several_stages_goes_on_within_the_stage_that_was_stopped(
    tmp_path: Path, stop_at: int
) -> None:
    class Stopping(Checkpoint):
        def save(self, step, state):
            super().save(step, state)
            saves.append(step)
            if len(saves) == stop_at:
                raise KeyboardInterrupt

    def stages(run: Run) -> int:
        ended = Sum()
        whole = run.resumed({"ended": ended})
        while ended.total < 3:
            work = Sum()
            for step in whole.steps(2, work):
                done.append((ended.total, step))
            ended.total += 1
            whole.save(0)
        return ended.total

    saves, done = [], []
    with pytest.raises(KeyboardInterrupt):
        stages(Run(Stopping(tmp_path / "state", "test", every_seconds=0)))
    assert stages(Run(checkpoint(tmp_path))) == 3
    assert done == [(stage, step) for stage in range(3) for step in range(2)]


def test_a_stopwatch_counts_earlier_runs_and_no_halts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(parts, "perf_counter", lambda: now)
    watch = Stopwatch()
    watch.restore({"seconds": torch.tensor(2.0)})
    watch.start()
    now = 103.0
    assert watch.stop() == 5.0
    now = 110.0
    watch.start()
    now = 111.0
    watch.start()
    assert watch.state()["seconds"] == 6.0
