"""Random: real images drawn uniformly, the baseline of every table."""

from __future__ import annotations

from condensery.checkpoint import Checkpoint
from condensery.methods.base import Problem, register
from condensery.progress import Progress
from condensery.synthetic import SyntheticSet


@register
class Random:
    """Select ``ipc`` images of each class uniformly without replacement."""

    name = "random"
    independent_classes = True
    needs_features = False

    def condense(
        self, problem: Problem, *, checkpoint: Checkpoint | None = None, progress: Progress | None = None
    ) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        return problem.select(problem.random_images(c) for c in problem.classes)
