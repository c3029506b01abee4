"""Signals: work finishes its step, saves it and reports it; a second signal ends it immediately."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from condensery import console, methods
from condensery.errors import Stopped
from condensery.run import Checkpoint, Run
from condensery.run.stopping import SIGNALS
from tests import problems
from tests.scripts import ROOT
from tests.test_run import Sum


class Signalled(Sum):
    """Work that sends itself a signal in step 2, once or several times."""

    def __init__(self, number: int, times: int = 1) -> None:
        super().__init__()
        self.number, self.times = number, times

    def step(self, step: int) -> None:
        if step == 2:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)
        self.total += step


def carry_out(run: Run, work: Sum, total: int = 9) -> None:
    for step in run.steps(total, work):
        work.step(step) if isinstance(work, Signalled) else work.__setattr__("total", work.total + step)


def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "state", "test", every_seconds=1000)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_saves_the_step_under_way(
    number: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    status = console.run(lambda: carry_out(Run(checkpoint(tmp_path)), Signalled(number)))
    assert status == 128 + number
    name = signal.Signals(number).name
    assert capfd.readouterr().err.endswith(
        f"error: stopped by {name}: step 3 of 9 is saved, and the same command goes on from there\n"
    )
    step, tensors = checkpoint(tmp_path).load()
    assert (step, tensors["work/total"].item()) == (3, 0 + 1 + 2)
    assert [signal.getsignal(each) for each in SIGNALS] == before
    work = Sum()
    carry_out(Run(checkpoint(tmp_path)), work)
    assert work.total == sum(range(9))


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    work = Signalled(signal.SIGTERM, times=2)
    with pytest.raises(Stopped, match="the step under way is lost"):
        carry_out(Run(checkpoint(tmp_path)), work)
    assert work.total == 0 + 1
    assert not (tmp_path / "state").exists()


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Use Python's own handler: a shell starts background processes with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work = Signalled(signal.SIGINT)
    carry_out(Run(checkpoint(tmp_path)), work)
    assert work.total == sum(range(9))


def test_what_has_no_checkpoint_leaves_signals_alone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as error:
        carry_out(Run(), Signalled(signal.SIGINT))
    assert not isinstance(error.value, Stopped)
    ended: list[int] = []

    def elsewhere() -> None:
        work = Sum()
        carry_out(Run(checkpoint(tmp_path)), work)
        ended.append(work.total)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert ended == [sum(range(9))]


def test_a_set_that_was_stopped_is_that_of_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dm, problem = methods.get("dm"), problems.problem(parameters={"iterations": 25})
    whole = dm.condense(problem)
    reported = Run.report

    def report(run: Run, done: int, **values: object) -> None:
        if done == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        reported(run, done, **values)

    monkeypatch.setattr(Run, "report", report)
    with pytest.raises(Stopped):
        dm.condense(problem, run=Run(checkpoint(tmp_path)))
    assert checkpoint(tmp_path).load()[0] == 10
    assert torch.equal(dm.condense(problem, run=Run(checkpoint(tmp_path))).images, whole.images)


@pytest.mark.slow
def test_a_script_that_is_stopped_has_saved(tmp_path: Path) -> None:
    def run(script: str, *words: object) -> subprocess.Popen[str]:
        line = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--data", "digits", *map(str, words)]
        return subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    assert run("prepare", "--out", tmp_path / "digits").wait() == 0
    out = tmp_path / "set.safetensors"
    words = (
        "--prepared",
        tmp_path / "digits",
        "--protocol",
        "paper",
        "--method",
        "dm",
        "--ipc",
        1,
        "--seed",
        0,
    )
    with run("condense", *words, "--device", "cpu", "--out", out) as job:
        lines = iter(job.stderr.readline, "")
        next(line for line in lines if "loss" in line)
        job.send_signal(signal.SIGUSR1)
        last = list(lines)[-1]
    assert job.returncode == 128 + signal.SIGUSR1
    assert last.startswith("error: stopped by SIGUSR1: step ")
    assert (tmp_path / ".set.safetensors.checkpoint").is_file()
    assert not out.exists()
