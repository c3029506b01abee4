"""KIP: learn images from which kernel ridge regression predicts the real ones.

Source: Nguyen, Chen and Lee, *Dataset Meta-Learning from Kernel Ridge-Regression*, 2021, and its authors'
public code, with the kernel of a fully connected network. For each of ``iterations`` steps of Adam::

    predicted <- kernel ridge regression on the synthetic images, for a batch of real ones of every class
    images, labels <- Adam on half the mean squared error of the predictions
"""

from __future__ import annotations

import torch
from torch import Tensor

from condensery import streams
from condensery.methods.base import Problem, register
from condensery.run import UNATTENDED, Run
from condensery.run.checkpoint import adam_state, restore_adam
from condensery.synthetic import SyntheticSet
from condensery.training.ridge import predictions, targets_of


@register
class KernelInducingPoints:
    """Gradient descent through the closed form of training an infinitely wide network, in float64.

    Parameters (``config/methods.yaml``): ``iterations`` of Adam; ``lr_img``, its rate for pixels and labels;
    ``batch_real``, real images of all classes per step, the same number of each; ``init``, ``real`` or
    ``noise``; ``learn_labels``, whether the labels are learned as well.

    Learned labels are soft, (N, C), and need not be probabilities; minus 1/C they are the targets of the
    regression. The classes depend on each other through the regression.
    """

    name = "kip"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: snapshots are requested.
        """
        run.refuse_snapshots("kip learns labels with its images, which snapshots do not hold")
        parameters, regression = problem.parameters, Regression(problem)
        images = problem.initial_images(parameters["init"]).double()
        labels = problem.labels.to(images.device)
        targets = targets_of(labels, len(problem.data.info.classes), images.dtype)
        learned = _Learned(images, targets, parameters["lr_img"], with_labels=parameters["learn_labels"])
        for step in run.steps(parameters["iterations"], learned):
            *gradients, loss = regression.gradient(learned.images, learned.targets, step)
            learned.step(*gradients)
            run.report(step + 1, loss=loss)
        soft = (learned.targets + 1 / targets.shape[1]).float() if parameters["learn_labels"] else None
        return problem.synthetic_set(learned.images, labels=soft)


class Regression:
    """The loss of one step and its gradients."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._train = problem, problem.training_split()

    def gradient(self, images: Tensor, targets: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients with respect to the images and to their targets, and the loss, a scalar.

        Args:
            images: all synthetic images, float64 (N, C, H, W).
            targets: the targets of these images, float64 (N, classes).
            step: index of the step, which addresses the real batch.
        """
        real, wanted = self._batch(step, images)
        leaves = images.detach().requires_grad_(), targets.detach().requires_grad_()
        loss = 0.5 * (predictions(leaves[0].flatten(1), leaves[1], real) - wanted).square().mean()
        of_images, of_targets = torch.autograd.grad(loss, leaves)
        return of_images, of_targets, loss.detach()

    def _batch(self, step: int, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return real images of every class, flat (n, D), and their targets, (n, classes)."""
        problem = self._problem
        size = max(1, problem.parameters["batch_real"] // len(problem.classes))
        chosen = [
            torch.from_numpy(problem.random_batch(c, size, streams.generator(problem.seed, "real", step, c)))
            for c in problem.classes
        ]
        labels = torch.cat(
            [torch.full((len(rows),), c) for c, rows in zip(problem.classes, chosen, strict=True)]
        )
        real = self._train.batch(torch.cat(chosen), images.device).to(images.dtype).flatten(1)
        classes = len(problem.data.info.classes)
        return real, targets_of(labels.to(images.device), classes, images.dtype)


class _Learned:
    """Images and targets under Adam; the targets are constant unless labels are learned."""

    def __init__(self, images: Tensor, targets: Tensor, lr: float, *, with_labels: bool) -> None:
        self.images, self.targets = images, targets
        self._with_labels = with_labels
        self._adam = torch.optim.Adam([images, targets] if with_labels else [images], lr=lr)

    def step(self, of_images: Tensor, of_targets: Tensor) -> None:
        """Take one step of Adam along the gradients."""
        self.images.grad = of_images
        self.targets.grad = of_targets if self._with_labels else None
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        return {"images": self.images, "targets": self.targets} | adam_state("adam", self._adam)

    def restore(self, state: dict[str, Tensor]) -> None:
        """See :meth:`condensery.run.Part.restore`."""
        self.images.copy_(state["images"])
        self.targets.copy_(state["targets"])
        restore_adam("adam", self._adam, state)
