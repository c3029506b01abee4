"""The base of the methods that select real images: class by class, at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from condensery.methods.base import Problem
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


class Selection(ABC):
    """A set of real images, which a method chooses."""

    name: str

    @abstractmethod
    def choose(self, problem: Problem) -> Iterable[np.ndarray]:
        """Return, for each of the problem's classes, which training images: int64 (images_per_class,)."""

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        return problem.select(self.choose(problem))
