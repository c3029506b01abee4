"""Herding: real images whose mean feature approaches the class mean (Welling 2009; iCaRL, Algorithm 4)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from condensery.methods import features
from condensery.methods.base import Problem, register
from condensery.methods.selection import Selection


@register
class Herding(Selection):
    """Select, class by class, the image that brings the mean of the selected nearest to the class mean.

    Parameter (``config/methods.yaml``): ``greedy``, by default true. If false, the images nearest to the
    class mean are selected, independently of each other.
    """

    name = "herding"

    def choose(self, problem: Problem) -> Iterator[np.ndarray]:
        """See :class:`Selection`."""
        select = herd if problem.parameters.get("greedy", True) else nearest
        return (pool[select(x, problem.images_per_class).numpy()] for pool, x in features.by_class(problem))


def herd(x: Tensor, count: int) -> Tensor:
    """Return the indices of ``count`` greedily selected rows, in the order of their selection.

    The (i + 1)-th row x minimizes the distance between ``mean * (i + 1)`` and ``sum(selected) + x``.

    Args:
        x: features of one class, float (n, F).
        count: how many to select, at most n.

    Returns:
        int64 (count,), on the CPU, without repetition.
    """
    mean = x.mean(0)
    total = torch.zeros_like(mean)
    free = torch.ones(len(x), dtype=torch.bool, device=x.device)
    chosen = []  # on the device, so that the host waits for it only once
    for i in range(count):
        distance = (mean * (i + 1) - total - x).norm(dim=1)
        best = distance.masked_fill(~free, torch.inf).argmin(0, keepdim=True)
        free.index_fill_(0, best, False)
        total = total + x.index_select(0, best)[0]
        chosen.append(best)
    return torch.cat(chosen).cpu()


def nearest(x: Tensor, count: int) -> Tensor:
    """Return the indices of the ``count`` rows nearest to the mean of all, the nearest first.

    Args:
        x: features of one class, float (n, F).
        count: how many to select, at most n.

    Returns:
        int64 (count,), on the CPU, without repetition.
    """
    return (x - x.mean(0)).norm(dim=1).argsort(stable=True)[:count].cpu()
