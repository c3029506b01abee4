"""The progress of long work: a bar on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
from collections import deque
from time import monotonic
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

_WINDOW_SECONDS = 120.0
_SAMPLE_SECONDS = 1.0


class Progress:
    """Show the progress of a job, its speed and its remaining time.

    The clock starts at the first `step`, so that neither the steps of an earlier run nor a slow first step
    (compilation, data loading) enter the speed.

    Args:
        label: name of the work.
        total: number of steps of the whole job, including those of earlier runs.
        unit: name of a step, in the plural: ``iterations``, ``epochs``.
        stream: the output; standard error if None. A terminal gets a bar, any other stream plain lines.
        every_seconds: shortest time between two plain lines, except for the first and the last step.

    Attributes:
        label: name of the work.
        done: number of completed steps, as last reported.
    """

    def __init__(
        self, label: str, total: int, unit: str, stream: TextIO | None = None, every_seconds: float = 30.0
    ) -> None:
        """Start; nothing is written before the first step."""
        self.label, self._total, self._unit, self._every = label, total, unit, every_seconds
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._bar: tqdm | None = None
        self._samples: deque[tuple[float, int]] = deque()
        self._values: dict[str, float] = {}
        self._started, self._printed_at, self.done = monotonic(), 0.0, 0
        self._printed: int | None = None
        self._closed = False

    def step(self, done: int, **values: float) -> None:
        """Report the number of completed steps, and values to show, such as a loss."""
        self.done = done
        self._values = values or self._values
        if self._terminal:
            self._step_bar(done)
            return
        now = monotonic()
        self._sample(now)
        if self._printed is None or now - self._printed_at >= self._every:
            self._print(now)

    def close(self) -> None:
        """Write the final state; later calls do nothing."""
        if self._closed:
            return
        self._closed = True
        if self._bar is not None:
            self._bar.close()
        elif self._samples and self._printed != self.done:
            self._print(monotonic())

    def __enter__(self) -> Self:
        """Return the progress itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the final state, also after an exception."""
        self.close()

    def _step_bar(self, done: int) -> None:
        if self._bar is None:
            self._bar = tqdm(
                desc=self.label,
                total=self._total,
                unit=f" {self._unit}",
                initial=done,
                file=self._stream,
                dynamic_ncols=True,
            )
        if self._values:
            self._bar.set_postfix_str(_figures(self._values), refresh=False)
        self._bar.update(done - self._bar.n)

    def _sample(self, now: float) -> None:
        samples = self._samples
        if len(samples) >= 2 and now - samples[-2][0] < _SAMPLE_SECONDS:
            samples.pop()  # The newest sample is replaced until it is a second later than the one before.
        samples.append((now, self.done))
        while len(samples) > 2 and now - samples[0][0] > _WINDOW_SECONDS:
            samples.popleft()

    def _rate(self) -> float | None:
        """Steps per second over the window; None before two samples."""
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - begin) if last > first and end > begin else None

    def _print(self, now: float) -> None:
        parts = [f"{self.label} {self.done}/{self._total} {self._unit}"]
        rate = self._rate()
        if rate is not None:
            parts.append(f"{rate:.3g}/s" if rate >= 0.1 else f"{duration(1 / rate)} each")
        if self.done >= self._total:
            parts.append(f"done after {duration(now - self._started)}")
        elif rate is not None:
            parts.append(f"{duration((self._total - self.done) / rate)} left")
        if self._values:
            parts.append(_figures(self._values))
        print("  ".join(parts), file=self._stream, flush=True)
        self._printed, self._printed_at = self.done, now


def _figures(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


def duration(seconds: float) -> str:
    """Write a time span for people: ``"12 s"``, ``"3 min 10 s"``, ``"1 h 02 min"``, ``"2 d 05 h"``."""
    whole = round(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02d} h"
    if hours:
        return f"{hours} h {minute:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{whole} s"
