"""DSA: match the gradients of real and synthetic images under the same augmentation.

Source: *Dataset Condensation with Differentiable Siamese Augmentation*, section 3.
"""

from __future__ import annotations

from condensery.errors import CondenseryError
from condensery.methods.base import Problem, register
from condensery.methods.gradient_matching import GradientMatching


@register
class DifferentiableSiameseAugmentation(GradientMatching):
    """Gradient matching on augmented images.

    Parameters besides those of :class:`GradientMatching`: ``strategy``, ``dataset`` for that of the data set,
    or the families themselves; ``transform``, the images that the matching augments: ``shared``, real and
    synthetic ones with the same draw (DSA section 3). DSA's ablation has ``independent``, both with a draw
    each; ``real`` or ``synthetic``, only these; and ``none``, with which the network's training is not
    augmented either.
    """

    name = "dsa"

    def strategy(self, problem: Problem) -> str:
        """See :class:`GradientMatching`.

        Raises:
            CondenseryError: the data set has no augmentation; without one this would be DC.
        """
        if problem.parameters["transform"] == "none":
            return "none"
        chosen = problem.parameters["strategy"]
        if chosen != "dataset":
            return chosen
        if problem.augmentation == "none":
            raise CondenseryError(
                f"dsa augments, but {problem.data.info.name} has no augmentation: set it in "
                "config/datasets.yaml, or condense with dc"
            )
        return problem.augmentation

    def transform(self, problem: Problem) -> str:
        """See :class:`GradientMatching`; ``none`` if the strategy is ``none``."""
        chosen = problem.parameters["transform"]
        return "shared" if chosen == "none" else chosen
