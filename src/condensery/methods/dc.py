"""DC: match the gradients of real and synthetic images, without augmentation.

Source: *Dataset Condensation with Gradient Matching*, Algorithm 1.
"""

from __future__ import annotations

from condensery.methods.base import Problem, register
from condensery.methods.gradient_matching import GradientMatching


@register
class DatasetCondensation(GradientMatching):
    """Gradient matching on the images as they are."""

    name = "dc"

    def strategy(self, problem: Problem) -> str:
        """See :class:`GradientMatching`."""
        return "none"
