"""DSA: match the gradients of real and synthetic images under the same augmentation.

Source: *Dataset Condensation with Differentiable Siamese Augmentation*, section 3.
"""

from __future__ import annotations

from condensery.errors import CondenseryError
from condensery.methods.base import Problem, register
from condensery.methods.gradient_matching import GradientMatching


@register
class DifferentiableSiameseAugmentation(GradientMatching):
    """Gradient matching on images that the data set's strategy augments."""

    name = "dsa"

    def strategy(self, problem: Problem) -> str:
        """See :class:`GradientMatching`.

        Raises:
            CondenseryError: the data set has no augmentation, so that this would be DC.
        """
        if problem.augmentation == "none":
            raise CondenseryError(
                f"dsa augments, but {problem.data.info.name} has no augmentation: set it in "
                "config/datasets.yaml, or condense with dc"
            )
        return problem.augmentation
