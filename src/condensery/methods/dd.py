"""DD: learn images and learning rates by differentiating through the training of a network on them.

Source: Wang, Zhu, Torralba and Efros, *Dataset Distillation*, 2018, with random initial weights and several
steps and epochs. For each of ``iterations`` steps of Adam::

    weights <- new random ones
    for epoch in range(epochs):
        for step in range(steps):
            weights <- weights - rates[epoch, step] * gradient of the loss on images[step]
    images, rates <- Adam on the loss of a real batch at those weights
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.methods import unrolling
from condensery.methods.base import Problem, register
from condensery.methods.functional import FunctionalNetwork
from condensery.methods.unrolling import Step
from condensery.run import UNATTENDED, Run
from condensery.run.checkpoint import adam_state, restore_adam
from condensery.synthetic import SyntheticSet

# The authors' public code.
_BETAS = (0.5, 0.999)


@register
class DatasetDistillation:
    """Unrolled optimization, with hard labels that stay fixed.

    Parameters (``config/methods.yaml``): ``iterations`` of Adam; ``lr_img``, its rate, which is halved after
    each of ``stages`` equal parts of the iterations; ``networks``, new random networks per iteration;
    ``steps`` and ``epochs`` of a network's training; ``lr_net``, the initial value of its learning rates;
    ``batch_real``, real images of all classes per iteration.

    Each step has its own images, ``ipc / steps`` of every class. The set has the batches of the steps one
    after the other, and the learning rates, (epochs, steps).
    """

    name = "dd"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: the images of a class cannot be divided evenly among the steps, or snapshots
                are requested.
        """
        run.refuse_snapshots("dd learns rates, which snapshots do not hold")
        parameters = problem.parameters
        unrolled = Unrolled(problem)
        learned = _Learned(*unrolled.start())
        for iteration in run.steps(parameters["iterations"], learned):
            stage = iteration * parameters["stages"] // parameters["iterations"]
            of_images, of_rates, loss = unrolled.gradient(learned.images, learned.rates(), iteration)
            learned.step(of_images, of_rates, parameters["lr_img"] * 0.5**stage)
            run.report(iteration + 1, loss=loss)
        return problem.synthetic_set(
            learned.images.flatten(0, 1),
            labels=unrolled.labels.repeat(parameters["steps"]),
            learning_rate=learned.rates(),
        )


class _Learned:
    """The images of all steps, (steps, B, C, H, W), and the rates before softplus, under Adam."""

    def __init__(self, images: Tensor, raw: Tensor) -> None:
        self.images, self._raw = images, raw
        self._adam = torch.optim.Adam([images, raw], betas=_BETAS)

    def rates(self) -> Tensor:
        """Return the learning rates, (epochs, steps)."""
        return F.softplus(self._raw)

    def step(self, of_images: Tensor, of_rates: Tensor, lr: float) -> None:
        """Take one step of Adam, with rate ``lr``, given the gradients of the images and of the rates."""
        self._adam.param_groups[0]["lr"] = lr
        self.images.grad = of_images
        self._raw.grad = of_rates * self._raw.sigmoid()  # the slope of softplus
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        return {"images": self.images, "raw": self._raw} | adam_state("adam", self._adam)

    def restore(self, state: dict[str, Tensor]) -> None:
        """See :meth:`condensery.run.Part.restore`."""
        self.images.copy_(state["images"])
        self._raw.copy_(state["raw"])
        restore_adam("adam", self._adam, state)


class Unrolled:
    """The loss of real images after the training on synthetic ones, and its gradient.

    Attributes:
        functional: the network.
        labels: of the images of a step, int64 (B,) on the device: every class, ``ipc / steps`` times.
    """

    def __init__(self, problem: Problem) -> None:
        """Build the network.

        Raises:
            CondenseryError: ``steps`` does not divide the images per class.
        """
        steps = problem.parameters["steps"]
        if problem.ipc % steps:
            raise CondenseryError(
                f"dd cannot divide {problem.ipc} images per class among {steps} steps: set steps, in "
                f"config/methods.yaml or the protocol, to a divisor of {problem.ipc}"
            )
        self._problem = problem
        self.functional = FunctionalNetwork(problem)
        classes = torch.tensor(problem.classes, device=problem.device.torch_device)
        self.labels = classes.repeat_interleave(problem.ipc // steps)

    def start(self) -> tuple[Tensor, Tensor]:
        """Return the initial images, standard normal (steps, B, C, H, W), and the rates before softplus."""
        parameters, noise = self._problem.parameters, self._problem.initial_images("noise")
        steps, count = parameters["steps"], len(self._problem.classes)
        images = noise.view(count, steps, -1, *noise.shape[1:]).transpose(0, 1).flatten(1, 2).contiguous()
        raw = math.log(math.expm1(parameters["lr_net"]))
        return images, images.new_full((parameters["epochs"], steps), raw)

    def gradient(self, images: Tensor, rates: Tensor, iteration: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients with respect to the images and to the rates, and the loss.

        All are means over the networks of the iteration.

        Args:
            images: (steps, B, C, H, W).
            rates: (epochs, steps).
            iteration: index of the iteration, which addresses the initial weights and the real images.
        """
        count = self._problem.parameters["networks"]
        real = self.functional.real_batch(self._problem.parameters["batch_real"], iteration)
        sums = [torch.zeros_like(images), torch.zeros_like(rates), images.new_zeros(())]
        known = rates.tolist()  # one copy, because the host waits for it
        for number in range(count):
            parts = self._one(images, known, (iteration, number), real)
            sums = [total + part / count for total, part in zip(sums, parts, strict=True)]
        of_images, of_rates, loss = sums
        return of_images, of_rates, loss

    def _one(
        self, images: Tensor, rates: list[list[float]], address: tuple[int, int], real: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return :meth:`gradient` for one network."""
        steps = [Step(step, self.labels, rate) for row in rates for step, rate in enumerate(row)]
        path = unrolling.train(self.functional, self.functional.initial(*address), images, steps)
        loss, _, adjoint = self.functional.test(path.weights.pop(), *real)
        of_images, of_rates = unrolling.differentiate(self.functional, path, images, steps, adjoint)
        return of_images, of_rates.view(len(rates), -1), loss
