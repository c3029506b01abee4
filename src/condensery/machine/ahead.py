"""Draws made ahead of the steps that need them, by other threads, while a device computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

import torch

_Step = TypeVar("_Step")
_Drawn = TypeVar("_Drawn")

# Most of a draw is spent outside Python, so that two threads draw twice as much.
_THREADS = 2
_AHEAD = 4


class Ahead(Generic[_Step, _Drawn]):
    """What a function returns for one step after the other, made while earlier steps are under way.

    Streams are addressed, so that a draw is the same whenever and wherever it is made. On a CPU, whose cores
    the steps need themselves, it is made when it is asked for.
    """

    def __init__(
        self,
        function: Callable[[_Step], _Drawn],
        following: Callable[[_Step], Iterable[_Step]],
        device: torch.device,
    ) -> None:
        """Begin with no step.

        Args:
            function: of a step; it computes on the CPU and changes nothing.
            following: returns the steps after one, in their order.
            device: where the steps run.
        """
        self._function, self._following = function, following
        self._threads = ThreadPoolExecutor(_THREADS) if device.type != "cpu" else None
        self._made: dict[_Step, Future[_Drawn]] = {}

    def __call__(self, step: _Step) -> _Drawn:
        """Return what the function returns for a step; all but those that follow it are forgotten."""
        if self._threads is None:
            return self._function(step)
        earlier = self._made
        self._made = {
            each: earlier.get(each) or self._threads.submit(self._function, each)
            for each in (step, *islice(self._following(step), _AHEAD))
        }
        return self._made.pop(step).result()


def until(last: int) -> Callable[[int], range]:
    """Return what follows a step where steps are numbers below ``last``."""
    return lambda step: range(step + 1, last)
