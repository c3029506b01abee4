"""K-center: real images that leave no image of their class far away (Sener and Savarese 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from condensery.checkpoint import Checkpoint
from condensery.methods import features
from condensery.methods.base import Problem, register
from condensery.progress import Progress
from condensery.synthetic import SyntheticSet


@register
class KCenter:
    """Select, class by class, the image farthest from all selected, starting nearest the class mean."""

    name = "kcenter"
    independent_classes = True
    needs_features = True

    def condense(
        self, problem: Problem, *, checkpoint: Checkpoint | None = None, progress: Progress | None = None
    ) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        return problem.select(
            problem.data.train.indices_of(c)[k_center(x, problem.ipc).numpy()]
            for c, x in zip(problem.classes, features.by_class(problem), strict=True)
        )


def k_center(x: Tensor, count: int) -> Tensor:
    """Return the places of ``count`` rows, greedily spread, in the order of their selection.

    Args:
        x: features of one class, float (n, F).
        count: how many to select, at most n.

    Returns:
        int64 (count,), on the CPU, without repetition.
    """
    chosen = [int((x - x.mean(0)).norm(dim=1).argmin())]
    nearest = (x - x[chosen[0]]).norm(dim=1)
    while len(chosen) < count:
        nearest[chosen] = -1.0  # equal images are at distance 0 and may still be chosen, once each
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (x - x[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)
