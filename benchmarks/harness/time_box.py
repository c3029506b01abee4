"""Stop long work at a given time, with its state saved."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from condensery.checkpoint import Checkpoint


class OutOfTime(Exception):
    """The time that was given is over; what was done is in the checkpoint."""


class TimeBox:
    """A deadline, ``minutes`` from now, or none."""

    def __init__(self, minutes: float | None) -> None:
        self._end = time.monotonic() + 60 * minutes if minutes else float("inf")

    def over(self) -> bool:
        """Say whether the time is over."""
        return time.monotonic() >= self._end

    def checkpoint(self, path: Path, identity: str) -> Checkpoint:
        """Return a checkpoint that raises :class:`OutOfTime` as soon as it has saved after the deadline."""
        return _LastCheckpoint(path, identity, self)


class _LastCheckpoint(Checkpoint):
    def __init__(self, path: Path, identity: str, box: TimeBox) -> None:
        super().__init__(path, identity)
        self._box = box

    def due(self) -> bool:
        return self._box.over() or super().due()

    def save(self, step: int, state: Mapping[str, Tensor]) -> None:
        super().save(step, state)
        if self._box.over():
            raise OutOfTime
