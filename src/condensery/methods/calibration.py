"""Calibration, a loss of DANCE and NCFM: trained networks should classify the synthetic images correctly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.methods import dm
from condensery.networks import Network


class Calibration(dm.Matcher):
    """The mean cross-entropy of each class's synthetic images; there are no real images."""

    drawn = "calibration"

    def features(self, network: Network) -> Callable[[Tensor], Tensor]:
        """Return the function from images (n, C, H, W) to their logits, (n, classes)."""
        return network

    def batch(self, c: int, step: int) -> np.ndarray:
        """Return an empty array, since no real images are used."""
        return np.empty(0, dtype=np.int64)

    def loss(self, real: Sequence[Tensor], synthetic: Tensor, classes: Sequence[int], step: int) -> Tensor:
        """See :class:`condensery.methods.dm.Matcher`; ``synthetic`` are logits."""
        return cross_entropy(synthetic, classes)


def cross_entropy(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Return the mean cross-entropy of the images of each class, (classes,).

    Args:
        logits: (classes, m, K) for m images of each class, K being the classes of the data set.
        classes: the labels, one per class.
    """
    labels = torch.tensor(classes, device=logits.device)[:, None].expand(logits.shape[:2])
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).mean(1)
