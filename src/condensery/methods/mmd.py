"""MMD: match the distribution of each class in pixel space (DM appendix B.2).

The maximum mean discrepancy with a kernel between images, without a network and without augmentation. With
the linear kernel it is the squared distance between mean images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from condensery import kernels, streams
from condensery.kernels import Kernel
from condensery.machine.transfer import together
from condensery.methods.base import Problem, register
from condensery.methods.pixels import Pixels
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet

REPORT_EVERY = 10


@register
class MaximumMeanDiscrepancy:
    """Learn the pixels of each class by stochastic gradient descent on its discrepancy.

    Parameters (``config/methods.yaml``): ``kernel``, ``linear``, ``polynomial``, ``rbf`` or ``laplacian``;
    ``degree`` of the polynomial; ``width`` of the last two, relative to the mean distance between real images
    of the class; ``iterations``; ``lr_img`` and ``momentum`` of the pixels; ``batch_real``, real images per
    class and step; ``init``, ``real`` or ``noise``.
    """

    name = "mmd"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        pixels = Pixels(problem, run)
        matcher = Matcher(problem)
        for step in pixels.iterations():
            gradient, loss = matcher.gradient(pixels.images, step)
            pixels.step(gradient)
            if (step + 1) % REPORT_EVERY == 0:
                run.report(step + 1, loss=loss)
        return problem.synthetic_set(pixels.images)


class Matcher:
    """The loss of one step and its gradient with respect to the pixels, in float32 class by class."""

    def __init__(self, problem: Problem) -> None:
        """Choose the kernel of every class."""
        self._problem, self._train = problem, problem.training_split()
        self._kernels = [self._kernel(c) for c in problem.classes]

    def gradient(self, images: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the gradient of the loss of ``step``, shaped like ``images``, and the loss, a scalar.

        The loss is the sum over classes of the biased estimate of the squared discrepancy. The term of the
        real images alone is left out: it does not depend on the pixels, and would take most of the time.

        Args:
            images: all synthetic images, (classes * ipc, C, H, W), in the order of the problem's classes.
            step: index of the step, which addresses the real batches.
        """
        gradients, total = [], images.new_zeros(())
        parts = images.split(self._problem.ipc)
        chosen = together([self._chosen(c, "real", step) for c in self._problem.classes], self._train.device)
        for kernel, part, rows in zip(self._kernels, parts, chosen, strict=True):
            real = self._real(rows)
            leaf = part.detach().requires_grad_()
            synthetic = leaf.flatten(1)
            loss = kernel(synthetic, synthetic).mean() - 2 * kernel(real, synthetic).mean()
            gradients += torch.autograd.grad(loss, leaf)
            total += loss.detach()
        return torch.cat(gradients), total

    def _chosen(self, c: int, purpose: str, *address: int) -> Tensor:
        """Return the indices of a batch of images of class ``c``, int64 (n,)."""
        problem = self._problem
        stream = streams.generator(problem.seed, purpose, *address, c)
        return torch.from_numpy(problem.random_batch(c, problem.parameters["batch_real"], stream))

    def _real(self, rows: Tensor) -> Tensor:
        """Return real images, flat: float32 (n, D)."""
        return self._train.batch(rows, self._problem.device.torch_device).flatten(1)

    def _kernel(self, c: int) -> Kernel:
        parameters = self._problem.parameters
        match parameters["kernel"]:
            case "linear":
                return kernels.linear
            case "polynomial":
                return kernels.polynomial(parameters["degree"])
            case name:
                make, p = {"rbf": (kernels.rbf, 2), "laplacian": (kernels.laplacian, 1)}[name]
                distance = kernels.mean_distance(self._real(self._chosen(c, "kernel-width")), p).item()
                return make(parameters["width"] * distance)
