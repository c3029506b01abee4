"""Snapshots: what a set looked like on the way, and how long it had then been condensed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """The images after some iterations.

    Attributes:
        step: iterations done.
        seconds: time of condensing until then.
        images: float32 (N, C, H, W), on the CPU.
    """

    step: int
    seconds: float
    images: Tensor


class Recorder:
    """Keeps the images after chosen iterations."""

    def __init__(self, steps: Iterable[int]) -> None:
        """Note after which iterations, counted from 1, a snapshot is wanted."""
        self._steps = frozenset(steps)
        self._snapshots: dict[int, Snapshot] = {}

    @property
    def snapshots(self) -> list[Snapshot]:
        """The snapshots taken, in the order of their steps."""
        return [self._snapshots[step] for step in sorted(self._snapshots)]

    def wants(self, step: int) -> bool:
        """Say whether a snapshot is wanted after this many iterations."""
        return step in self._steps

    def record(self, step: int, seconds: float, images: Tensor) -> None:
        """Keep a copy of the images, float32 (N, C, H, W), that may go on changing."""
        self._snapshots[step] = Snapshot(step, seconds, images.detach().to("cpu", copy=True))

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint has to hold: images, (N, C, H, W), and seconds of each snapshot."""
        times = {s.step: torch.tensor(s.seconds, dtype=torch.float64) for s in self.snapshots}
        return {f"seconds at {step}": seconds for step, seconds in times.items()} | {
            f"images at {step}": s.images for step, s in self._snapshots.items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`state` returned in an earlier run."""
        for step in self._steps:
            if f"images at {step}" in state:
                seconds = state[f"seconds at {step}"].item()
                self._snapshots[step] = Snapshot(step, seconds, state[f"images at {step}"])
