"""Progress lines: their rate, time left and frequency, and the bar on a terminal."""

from __future__ import annotations

import io

import pytest

from condensery import progress
from condensery.progress import Progress, duration


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    return clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (12.4, "12 s"),
        (59.6, "1 min 00 s"),
        (190, "3 min 10 s"),
        (3599.7, "1 h 00 min"),
        (3720, "1 h 02 min"),
        (86400 * 2 + 3600 * 5, "2 d 05 h"),
    ],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_lines_in_a_log_file(clock: Clock) -> None:
    log = io.StringIO()
    with Progress("cifar10 dm", 500, "steps", log, every_seconds=30) as shown:
        for done in range(1, 501):
            clock.now += 0.25  # 4 steps a second
            shown.step(done, loss=1000 / done)
    lines = log.getvalue().splitlines()
    assert lines == [
        "cifar10 dm 1/500 steps  loss 1000",
        "cifar10 dm 121/500 steps  4/s  1 min 35 s left  loss 8.264",
        "cifar10 dm 241/500 steps  4/s  1 min 05 s left  loss 4.149",
        "cifar10 dm 361/500 steps  4/s  35 s left  loss 2.77",
        "cifar10 dm 481/500 steps  4/s  5 s left  loss 2.079",
        "cifar10 dm 500/500 steps  4/s  done after 2 min 05 s  loss 2",
    ]
    assert "\r" not in log.getvalue()


def test_a_resumed_run_counts_its_own_steps_only(clock: Clock) -> None:
    log = io.StringIO()
    shown = Progress("x", 20_000, "steps", log, every_seconds=10)
    clock.now += 300  # loading
    for done in range(5_000, 5_101):
        shown.step(done)
        clock.now += 0.5
    assert log.getvalue().splitlines()[-1] == "x 5100/20000 steps  2/s  2 h 04 min left"


def test_the_rate_is_that_of_the_last_minutes(clock: Clock) -> None:
    log = io.StringIO()
    shown = Progress("x", 100_000, "steps", log, every_seconds=0)
    done = 0
    for seconds, rate in ((3000, 1), (400, 10)):
        for _ in range(seconds):
            clock.now += 1
            done += rate
            shown.step(done)
    assert "  10/s  " in log.getvalue().splitlines()[-1]


def test_steps_slower_than_the_window_still_have_a_rate(clock: Clock) -> None:
    log = io.StringIO()
    shown = Progress("x", 10, "steps", log)
    for done in range(1, 5):
        clock.now += 600
        shown.step(done)
    assert log.getvalue().splitlines()[-1] == "x 4/10 steps  10 min 00 s each  1 h 00 min left"


def test_a_run_that_stops_says_where(clock: Clock) -> None:
    log = io.StringIO()

    def fail() -> None:
        with Progress("x", 10, "steps", log) as shown:
            for done in (1, 2, 3):
                clock.now += 1
                shown.step(done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert log.getvalue().splitlines() == ["x 1/10 steps", "x 3/10 steps  1/s  7 s left"]


def test_closing_twice_or_without_a_step_writes_nothing_more() -> None:
    log = io.StringIO()
    Progress("x", 10, "steps", log).close()
    assert log.getvalue() == ""
    shown = Progress("x", 1, "steps", log)
    shown.step(1)
    shown.close()
    shown.close()
    assert len(log.getvalue().splitlines()) == 1


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture) -> None:
    with Progress("x", 3, "steps") as shown:
        shown.step(3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("x 3/3")


def test_a_terminal_gets_one_bar_that_ends_full() -> None:
    terminal = Terminal()
    with Progress("cifar10 dm", 50, "steps", terminal) as shown:
        for done in range(10, 51):
            shown.step(done, loss=2.5)
    drawn = terminal.getvalue()
    last = drawn.rstrip("\n").split("\r")[-1]
    assert "\r" in drawn
    assert drawn.count("\n") == 1
    assert last.startswith("cifar10 dm: 100%")
    assert "50/50" in last
    assert "loss 2.5" in last
