"""DANCE: match mean features in networks between random and trained, and calibrate in the trained ones.

Source: Zhang et al., *DANCE: Dual-View Distribution Alignment for Dataset Condensation*, 2024, and its
authors' public code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from condensery.methods import dm
from condensery.methods.base import Problem, register
from condensery.methods.calibration import Calibration
from condensery.methods.dm import DistributionMatching
from condensery.methods.pairs import Pairs
from condensery.methods.pixels import Pixels, UnitPixels
from condensery.run import Run


@register
class DualAlignment(DistributionMatching):
    """DM in a network between a random and a trained one, and a step of calibration in each iteration.

    Parameters besides those of DM: ``strategy``, the augmentation, in which families joined by ``+`` are
    applied one after the other; ``formation``, parts along each side of a stored image. ``lr_img`` refers to
    pixels from 0 to 1 and one image per class.
    """

    name = "dance"

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """See :class:`condensery.methods.dm.DistributionMatching`."""
        return UnitPixels(problem, run)

    def matchers(self, problem: Problem) -> Sequence[dm.Matcher]:
        """See :class:`condensery.methods.dm.DistributionMatching`.

        Raises:
            CondenseryError: the pairs of networks are missing, or belong to another data set or network.
        """
        pairs, problem = Pairs(problem), replace(problem, augmentation=problem.parameters["strategy"])
        return [self.between(problem, pairs), Calibration(problem, pairs.trained)]

    def between(self, problem: Problem, pairs: Pairs) -> dm.Matcher:
        """Return the feature loss in the interpolated networks."""
        return dm.Matcher(problem, pairs.between)
