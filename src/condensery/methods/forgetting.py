"""Forgetting: real images that a network forgets most often during training (Toneva et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from condensery import streams
from condensery.methods import features
from condensery.methods.base import Problem, register
from condensery.methods.selection import Selection


@register
class Forgetting(Selection):
    """Select, class by class, the images with the most forgetting events; ties are broken at random.

    Images that were never classified correctly count as the most forgotten.
    """

    name = "forgetting"

    def choose(self, problem: Problem) -> Iterator[np.ndarray]:
        """See :class:`Selection`."""
        events = features.read(problem)["forgetting_events"].numpy()
        return (self._most_forgotten(problem, events, c) for c in problem.classes)

    @staticmethod
    def _most_forgotten(problem: Problem, events: np.ndarray, c: int) -> np.ndarray:
        pool = problem.data.train.indices_of(c)
        shuffled = pool[
            torch.randperm(len(pool), generator=streams.generator(problem.seed, "ties", c)).numpy()
        ]
        return shuffled[np.argsort(-events[shuffled], kind="stable")[: problem.images_per_class]]
