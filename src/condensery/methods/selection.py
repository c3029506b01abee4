"""What the methods share that select real images: they choose class by class, in no steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from condensery.methods.base import Problem
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


class Selection(ABC):
    """A set of real images; a method says which."""

    name: str

    @abstractmethod
    def choose(self, problem: Problem) -> Iterable[np.ndarray]:
        """Return, for each of the problem's classes, the indices of ``ipc`` training images: int64 (ipc,)."""

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        return problem.select(self.choose(problem))
