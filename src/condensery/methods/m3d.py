"""M3D: match the distribution of the features, not only their mean, by the maximum mean discrepancy.

Source: Zhang et al., *M3D: Dataset Condensation by Minimizing Maximum Mean Discrepancy*, 2024; the settings
are those of public code that is derived from the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from condensery import kernels
from condensery.kernels import Kernel, linear, mmd_squared, squared_distances
from condensery.methods import dm
from condensery.methods.base import Problem, register
from condensery.methods.dm import DistributionMatching, RandomWeights
from condensery.methods.pixels import Pixels, UnitPixels
from condensery.run import Run

# The kernel is the sum of exp(-|x - y|^2 / (factor * mean squared distance)) over these factors.
_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


@register
class DiscrepancyMatching(DistributionMatching):
    """DM whose loss is the squared discrepancy between the features of the real and the synthetic images.

    Parameters besides those of DM: ``kernel``, ``gaussian`` or ``linear``, which is DM's loss;
    ``network_steps``, iterations with the same random network; ``strategy``, the augmentation, in which
    families joined by ``+`` are applied one after the other; ``formation``, parts along each side of a stored
    image. ``lr_img`` refers to pixels from 0 to 1 and one image per class.
    """

    name = "m3d"

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """See :class:`condensery.methods.dm.DistributionMatching`."""
        return UnitPixels(problem, run)

    def matcher(self, problem: Problem) -> Matcher:
        """See :class:`condensery.methods.dm.DistributionMatching`."""
        problem = replace(problem, augmentation=problem.parameters["strategy"])
        return Matcher(problem, RandomWeights(problem, steps=problem.parameters["network_steps"]))


class Matcher(dm.Matcher):
    """The biased estimate of the squared discrepancy of each class."""

    def loss(self, real: Sequence[Tensor], synthetic: Tensor, classes: Sequence[int], step: int) -> Tensor:
        """See :class:`condensery.methods.dm.Matcher`."""
        kind = self._problem.parameters["kernel"]
        parts = []
        for of_real, own in zip(real, synthetic, strict=True):
            kernel = linear if kind == "linear" else gaussian(torch.cat([own, of_real]))
            parts.append(mmd_squared(kernel, own, of_real))
        return torch.stack(parts)


def gaussian(features: Tensor) -> Kernel:
    """Return a sum of Gaussian kernels whose widths are relative to the mean squared distance of features.

    Args:
        features: the features of all compared images, (n, F), n at least 2. No gradient flows through the
            widths.
    """
    count, features = len(features), features.detach()
    mean = squared_distances(features, features).sum() / (count * (count - 1))
    return kernels.mixture([(mean * factor / 2).sqrt() for factor in _WIDTHS])
