"""Random draws for future steps, computed by other threads while the device is busy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

import torch

_Step = TypeVar("_Step")
_Drawn = TypeVar("_Drawn")

# Most of the time of a draw is spent outside Python, so that two threads draw twice as fast.
_THREADS = 2
_AHEAD = 4


class Ahead(Generic[_Step, _Drawn]):
    """The values of a function of the step, computed for the next steps while the present one runs.

    Streams are addressed, so that the time and the thread of a draw do not change it. If the device is a CPU,
    the steps need its cores themselves, and values are computed on demand.
    """

    def __init__(
        self,
        function: Callable[[_Step], _Drawn],
        following: Callable[[_Step], Iterable[_Step]],
        device: torch.device,
    ) -> None:
        """Begin without any value.

        Args:
            function: returns the value of a step; it computes on the CPU and has no side effects.
            following: returns the steps after a given one, in their order.
            device: the device on which the steps run.
        """
        self._function, self._following = function, following
        self._threads = ThreadPoolExecutor(_THREADS) if device.type != "cpu" else None
        self._made: dict[_Step, Future[_Drawn]] = {}

    def __call__(self, step: _Step) -> _Drawn:
        """Return the value of a step, start computing those that follow, and drop all other values."""
        if self._threads is None:
            return self._function(step)
        earlier = self._made
        self._made = {
            each: earlier.get(each) or self._threads.submit(self._function, each)
            for each in (step, *islice(self._following(step), _AHEAD))
        }
        return self._made.pop(step).result()


def until(last: int) -> Callable[[int], range]:
    """Return the argument ``following`` of :class:`Ahead` for steps that are numbers below ``last``."""
    return lambda step: range(step + 1, last)
