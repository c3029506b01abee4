"""Parts of a checkpoint besides the work itself: the clock, and the snapshots of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, Self

import torch
from torch import Tensor

from condensery.errors import CondenseryError


class Part(Protocol):
    """Something whose state goes into a checkpoint."""

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that a resumed run needs, by name."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the state that :meth:`state` returned in an earlier run; the tensors are on the CPU."""
        ...


@dataclass(frozen=True)
class Snapshot:
    """The images after some iterations.

    Attributes:
        step: number of iterations.
        seconds: time of condensing up to this iteration.
        images: float32 (N, C, H, W), on the CPU.
        learning_rate: the learning rate that is learned with the images, on the CPU, or None.
    """

    step: int
    seconds: float
    images: Tensor
    learning_rate: Tensor | None = None


class Recorder:
    """Keeps the images after chosen iterations.

    Attributes:
        last: the last of these iterations.
    """

    def __init__(self, steps: Iterable[int]) -> None:
        """Set the iterations, counted from 1, after which snapshots are taken; at least one."""
        self._steps = sorted(set(steps))
        self.last = self._steps[-1]
        self._taken: dict[int, Snapshot] = {}

    @property
    def snapshots(self) -> list[Snapshot]:
        """The wanted snapshots that have been taken, in the order of their steps."""
        return [self._taken[step] for step in self._steps if step in self._taken]

    def wants(self, step: int) -> bool:
        """Say whether a snapshot is due after ``step`` iterations."""
        return step in self._steps

    def check(self, done: int) -> None:
        """Check that the wanted snapshots of the first ``done`` iterations have been taken.

        Raises:
            CondenseryError: an earlier run, from whose checkpoint this one goes on, went past one of them.
        """
        for step in self._steps:
            if step <= done and step not in self._taken:
                raise CondenseryError(
                    f"--snapshots {step}: the earlier run went past it without a snapshot: omit it, or "
                    "delete the checkpoint beside --out to start anew"
                )

    def record(self, step: int, seconds: float, images: Tensor, learning_rate: Tensor | None = None) -> None:
        """Take a snapshot: copies of the images and of the learning rate.

        Args:
            step: number of iterations.
            seconds: time of condensing up to this iteration.
            images: float32 (N, C, H, W), on any device.
            learning_rate: the learning rate that is learned with the images, or None.
        """
        kept = images.detach().to("cpu", copy=True)
        rate = None if learning_rate is None else learning_rate.detach().to("cpu", copy=True)
        self._taken[step] = Snapshot(step, seconds, kept, rate)

    def state(self) -> dict[str, Tensor]:
        """Return the images, (N, C, H, W), the seconds and the learning rate of each snapshot taken."""
        state = {}
        for step, taken in self._taken.items():
            state[f"seconds at {step}"] = torch.tensor(taken.seconds, dtype=torch.float64)
            state[f"images at {step}"] = taken.images
            if taken.learning_rate is not None:
                state[f"rate at {step}"] = taken.learning_rate
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the snapshots that :meth:`state` returned in an earlier run, also those not wanted now."""
        for name, images in state.items():
            what, _, at = name.partition(" at ")
            if what == "images":
                seconds, rate = state[f"seconds at {at}"].item(), state.get(f"rate at {at}")
                self._taken[int(at)] = Snapshot(int(at), seconds, images, rate)


def last_iteration(iterations: int, recorder: Recorder | None) -> int:
    """Return the iteration with which a run ends: that of its last snapshot, if it takes any.

    Args:
        iterations: the number of iterations of the method.
        recorder: takes the snapshots; None takes none.
    """
    return recorder.last if recorder else iterations


class Stopwatch:
    """Adds up the seconds of work that may be stopped and resumed.

    Args:
        finish: waits until the device has finished its queued work; called before the clock is read.
    """

    def __init__(self, finish: Callable[[], None] = lambda: None) -> None:
        """Begin at zero, stopped."""
        self._finish, self._before = finish, 0.0
        self._started: float | None = None

    def start(self) -> Self:
        """Start the clock, unless it runs already; return the stopwatch."""
        if self._started is None:
            self._started = perf_counter()
        return self

    def stop(self) -> float:
        """Stop the clock until the next start; return :meth:`seconds`."""
        self._before, self._started = self.seconds(), None
        return self._before

    def seconds(self) -> float:
        """Return the seconds until now, those of earlier runs included."""
        if self._started is None:
            return self._before
        self._finish()
        return self._before + perf_counter() - self._started

    def state(self) -> dict[str, Tensor]:
        """Return the seconds until now; the clock keeps running."""
        return {"seconds": torch.tensor(self.seconds(), dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from the seconds of an earlier run."""
        self._before = state["seconds"].item()
