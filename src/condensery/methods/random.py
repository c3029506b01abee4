"""Random: real images drawn uniformly, the baseline of every table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from condensery.methods.base import Problem, register
from condensery.methods.selection import Selection


@register
class Random(Selection):
    """Select images of each class uniformly without replacement."""

    name = "random"

    def choose(self, problem: Problem) -> Iterator[np.ndarray]:
        """See :class:`Selection`."""
        return (problem.random_images(c) for c in problem.classes)
