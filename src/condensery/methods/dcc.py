"""DCC: match the gradients of all classes together, so that differences between classes count.

Source: Lee, Chun, Jung, Yun and Yoon, *Dataset Condensation with Contrastive Signals*, 2022, and its authors'
public code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.methods import gradient_matching
from condensery.methods.base import Problem, register
from condensery.methods.functional import dot
from condensery.methods.gradient_matching import GradientMatching


@register
class ContrastiveSignals(GradientMatching):
    """Gradient matching whose loss is the distance between gradients averaged over the classes.

    Parameters besides those of :class:`GradientMatching`: ``strategy``, ``none`` for DCC, ``dataset`` (that
    of the data set) for DSAC, or the families themselves; ``alone_networks`` and ``alone_steps``: in these
    first steps with these first networks, classes are matched separately, as in DC and DSA.
    """

    name = "dcc"

    def strategy(self, problem: Problem) -> str:
        """See :class:`GradientMatching`.

        Raises:
            CondenseryError: the data set has no augmentation; without one DSAC would be DCC.
        """
        chosen = problem.parameters["strategy"]
        if chosen != "dataset":
            return chosen
        if problem.augmentation == "none":
            raise CondenseryError(
                f"dsac augments, but {problem.data.info.name} has no augmentation: set it in "
                "config/datasets.yaml, or condense with dcc"
            )
        return problem.augmentation

    def matcher(self, problem: Problem) -> Matcher:
        """See :class:`GradientMatching`."""
        return Matcher(problem, self.strategy(problem))


class Matcher(gradient_matching.Matcher):
    """The distance between the mean gradients of all classes.

    The gradient with respect to the pixels is exact, but needs the graph of only a few images at a time: the
    gradient of the distance is a direction in the space of parameters, which is computed before any image is
    differentiated twice.
    """

    def __init__(self, problem: Problem, strategy: str) -> None:
        """Build the network; :meth:`renew` draws its weights.

        Args:
            problem: the condensation.
            strategy: the augmentation, or ``none``.
        """
        super().__init__(problem, strategy)
        self._slope_along = problem.device.compiled(self._differentiate_along, 3 * self._twice)

    def gradient(self, images: Tensor, iteration: int, step: int) -> tuple[Tensor, Tensor]:
        """See :class:`condensery.methods.gradient_matching.Matcher`."""
        parameters = self._problem.parameters
        if iteration < parameters["alone_networks"] and step < parameters["alone_steps"]:
            return super().gradient(images, iteration, step)
        drawn = self.drawn((iteration, step))
        self.set_statistics(drawn)
        real = [each for group in drawn.groups for each in self.real_gradients(group, images.dtype)]
        target = [torch.stack(of_classes).mean(0) for of_classes in zip(*real, strict=True)]
        leaf = images.detach().requires_grad_()
        parts = leaf.unflatten(0, (-1, self._problem.ipc))
        augmented = torch.cat(
            [group.of_synthetic(parts[group.classes.start : group.classes.stop]) for group in drawn.groups]
        )
        upstream, distance = self._upstream(target, augmented.detach())
        (gradient,) = torch.autograd.grad(augmented, leaf, upstream)
        return gradient, distance

    def _upstream(self, target: Sequence[Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of the distance with respect to augmented images, and the distance.

        Args:
            target: the mean gradients of the real images, one tensor per parameter.
            images: the augmented synthetic images of all classes, (N, C, H, W).
        """
        given = [gradient.requires_grad_() for gradient in self._gradients(images, self._labels)]
        distance = self._distance(target, given)
        direction = torch.autograd.grad(distance, given, materialize_grads=True)
        weights = [parameter.detach() for parameter in self._parameters]
        at_once = max(1, self._at_once // 3)
        slopes = [
            self._slope_along(weights, direction, part, labels) * (len(part) / len(images))
            for part, labels in zip(images.split(at_once), self._labels.split(at_once), strict=True)
        ]
        return torch.cat(slopes), distance.detach()

    def _differentiate_along(
        self, parameters: Sequence[Tensor], direction: Sequence[Tensor], images: Tensor, labels: Tensor
    ) -> Tensor:
        """Return the derivative, (n, C, H, W), with respect to images of their gradient along a direction."""

        def along(images: Tensor) -> Tensor:
            return dot(tuple(direction), tuple(self._differentiable_gradients(parameters, images, labels)))

        return torch.func.grad(along)(images)
