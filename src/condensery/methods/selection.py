"""The base of the methods that select real images, class by class and without iterations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from condensery.methods.base import Problem
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


class Selection(ABC):
    """A set of real images; subclasses choose them."""

    name: str

    @abstractmethod
    def choose(self, problem: Problem) -> Iterable[np.ndarray]:
        """Return the indices of the chosen training images of each class, int64 (images_per_class,)."""

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        return problem.select(self.choose(problem))
