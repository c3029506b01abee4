"""K-center: real images from which no image of their class is far away (Sener and Savarese 2018)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from condensery.methods import features
from condensery.methods.base import Problem, register
from condensery.methods.selection import Selection


@register
class KCenter(Selection):
    """Select, class by class, the image nearest to the mean, then always that farthest from all selected."""

    name = "kcenter"

    def choose(self, problem: Problem) -> Iterator[np.ndarray]:
        """See :class:`Selection`."""
        return (pool[k_center(x, problem.images_per_class).numpy()] for pool, x in features.by_class(problem))


def k_center(x: Tensor, count: int) -> Tensor:
    """Return the indices of ``count`` rows, greedily spread, in the order of their selection.

    Args:
        x: features of one class, float (n, F).
        count: how many to select, at most n.

    Returns:
        int64 (count,), on the CPU, without repetition.
    """
    best = (x - x.mean(0)).norm(dim=1).argmin(0, keepdim=True)
    nearest, chosen = (x - x.index_select(0, best)).norm(dim=1), [best]
    while len(chosen) < count:  # indices stay on the device, which is waited for once
        nearest.index_fill_(0, best, -1.0)  # equal images, at distance 0, may still be chosen, once each
        best = nearest.argmax(0, keepdim=True)
        nearest = torch.minimum(nearest, (x - x.index_select(0, best)).norm(dim=1))
        chosen.append(best)
    return torch.cat(chosen).cpu()
