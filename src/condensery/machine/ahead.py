"""Draws made ahead of the steps that need them, by other threads, while a device computes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

_Drawn = TypeVar("_Drawn")

# Most of a draw is spent outside Python, so that two threads draw twice as much.
_THREADS = 2
_AHEAD = 4


class Ahead(Generic[_Drawn]):
    """What a function returns for one step after the other, made while earlier steps are under way.

    Streams are addressed, so that a draw is the same whenever and wherever it is made. On a CPU, whose cores
    the steps need themselves, it is made when it is asked for.
    """

    def __init__(self, function: Callable[[int], _Drawn], last: int, device: torch.device) -> None:
        """Begin with no step.

        Args:
            function: of the number of a step; it computes on the CPU and changes nothing.
            last: no step from this number on is made unasked.
            device: where the steps run.
        """
        self._function, self._last = function, last
        self._threads = ThreadPoolExecutor(_THREADS) if device.type != "cpu" else None
        self._made: dict[int, Future[_Drawn]] = {}

    def __call__(self, step: int) -> _Drawn:
        """Return what the function returns for a step; earlier ones are forgotten."""
        if self._threads is None:
            return self._function(step)
        self._made = {number: made for number, made in self._made.items() if number >= step}
        for number in (step, *range(step + 1, min(step + 1 + _AHEAD, self._last))):
            if number not in self._made:
                self._made[number] = self._threads.submit(self._function, number)
        return self._made.pop(step).result()
