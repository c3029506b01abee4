"""Forgetting: real images that a network in training keeps losing (Toneva et al. 2019)."""

from __future__ import annotations

import numpy as np
import torch

from condensery import streams
from condensery.checkpoint import Checkpoint
from condensery.methods import features
from condensery.methods.base import Problem, register
from condensery.progress import Progress
from condensery.synthetic import SyntheticSet


@register
class Forgetting:
    """Select, class by class, the images with the most forgetting events; ties are broken at random.

    Images that were never classified correctly count as the most forgotten.
    """

    name = "forgetting"
    independent_classes = True
    needs_features = True

    def condense(
        self, problem: Problem, *, checkpoint: Checkpoint | None = None, progress: Progress | None = None
    ) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        events = features.read(problem)["forgetting_events"].numpy()
        return problem.select(self._most_forgotten(problem, events, c) for c in problem.classes)

    @staticmethod
    def _most_forgotten(problem: Problem, events: np.ndarray, c: int) -> np.ndarray:
        pool = problem.data.train.indices_of(c)
        shuffled = pool[
            torch.randperm(len(pool), generator=streams.generator(problem.seed, "ties", c)).numpy()
        ]
        return shuffled[np.argsort(-events[shuffled], kind="stable")[: problem.ipc]]
