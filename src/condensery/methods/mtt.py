"""MTT: learn images whose training follows the trajectories of networks trained on real images.

Source: Cazenavette, Wang, Torralba, Efros and Zhu, *Dataset Distillation by Matching Training Trajectories*,
2022, and its authors' public code. For each of ``iterations``::

    start, target <- an expert after a random epoch, and ``expert_epochs`` later
    weights       <- start, trained for ``steps`` steps of gradient descent on the images, at rate alpha
    images, alpha <- SGD on |weights - target|^2 / |start - target|^2
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from condensery import streams
from condensery.augmentation import siamese
from condensery.errors import CondenseryError
from condensery.methods import unrolling
from condensery.methods.base import Problem, register
from condensery.methods.functional import FunctionalNetwork, dot
from condensery.methods.pixels import Pixels
from condensery.methods.unrolling import Step
from condensery.pool.experts import Experts
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


@register
class MatchingTrainingTrajectories:
    """Images and one learning rate alpha, both under SGD with the same momentum.

    Parameters (``config/methods.yaml``): ``iterations``; ``lr_img`` and ``momentum`` of the pixels; ``init``;
    ``steps`` of the network on the images, in batches of ``batch_net``; ``expert_epochs``, the epochs of an
    expert that these steps replace; ``start_epochs``, the number of first epochs of an expert that may be the
    start; ``lr_net``, the initial alpha; ``lr_rate``, the learning rate of alpha; ``strategy``, the families
    of augmentation.

    The classes depend on each other through the network. The set is that after the last iteration.
    """

    name = "mtt"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: experts are missing or have too few epochs, or alpha falls to 0 or below.
        """
        parameters, trajectories = problem.parameters, Trajectories(problem)
        rate = _Rate(problem)
        pixels = _Pixels(problem, run.carrying({"rate": rate}), rate)
        for iteration in pixels.iterations():
            of_images, of_rate, loss = trajectories.gradient(pixels.images, rate.value(iteration), iteration)
            pixels.step(of_images)
            rate.step(of_rate)
            run.report(iteration + 1, loss=loss)
        rate.value(parameters["iterations"])
        return problem.synthetic_set(pixels.images, learning_rate=rate.rate)


class Trajectories:
    """The distance from an expert at which the training on the images ends, and its gradient."""

    def __init__(self, problem: Problem) -> None:
        """Build the network and open the experts.

        Raises:
            CondenseryError: experts are missing, or were trained for fewer epochs than the parameters need.
        """
        self._problem, parameters = problem, problem.parameters
        self.functional = FunctionalNetwork(problem)
        self.experts = Experts.open(
            problem.needed("experts", "experts"), problem.data.info.name, problem.network
        )
        epochs = parameters["start_epochs"] - 1 + parameters["expert_epochs"]
        if self.experts.epochs < epochs:
            raise CondenseryError(
                f"experts of {self.experts.epochs} epochs, of which mtt looks at {epochs}: make them anew "
                f"with scripts/experts.py --epochs {epochs}"
            )
        self._labels = problem.labels.to(problem.device.torch_device)
        strategy = parameters["strategy"]
        self._strategy = problem.augmentation if strategy == "dataset" else strategy

    def drawn(self, iteration: int) -> tuple[int, int]:
        """Return the expert of an iteration, each in turn in a random order, and the epoch of its start."""
        seed, count = self._problem.seed, len(self.experts)
        order = torch.randperm(count, generator=streams.generator(seed, "experts", iteration // count))
        stream = streams.generator(seed, "start", iteration)
        start = torch.randint(self._problem.parameters["start_epochs"], (), generator=stream)
        return int(order[iteration % count]), int(start)

    def gradient(self, images: Tensor, rate: float, iteration: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients with respect to the images and to alpha, and the loss, a scalar.

        Args:
            images: all synthetic images, (N, C, H, W).
            rate: alpha.
            iteration: index of the iteration, which addresses the expert, the batches and the augmentation.
        """
        expert, epoch = self.drawn(iteration)
        length = self._problem.parameters["expert_epochs"]
        start, target = (
            self.functional.of_vector(self.experts.after(expert, each)) for each in (epoch, epoch + length)
        )
        moved = torch._foreach_sub(start, target)
        scale = dot(moved, moved)
        steps = self.schedule(images, rate, iteration)
        most = min(len(images), self._problem.parameters["batch_net"])
        path = unrolling.train(self.functional, start, images, steps, self.functional.graphs_at_once(most))
        off = torch._foreach_sub(path.weights.pop(), target)
        adjoint = torch._foreach_mul(off, 2 / scale)
        of_images, of_rates = unrolling.differentiate(self.functional, path, images, steps, adjoint)
        return of_images, of_rates.sum(), dot(off, off) / scale

    def schedule(self, images: Tensor, rate: float, iteration: int) -> list[Step]:
        """Return the steps of the network in an iteration.

        Args:
            images: all synthetic images, (N, C, H, W).
            rate: alpha.
            iteration: index of the iteration, which addresses the batches and the augmentation.
        """
        problem = self._problem
        batches = list(islice(self._batches(iteration), problem.parameters["steps"]))
        draws = [
            siamese.draw(
                self._strategy,
                len(rows),
                images.shape[-2:],
                streams.generator(problem.seed, "augmentation", iteration, step),
            )
            for step, rows in enumerate(batches)
        ]
        draws = siamese.moved(draws, images.device)
        return [
            Step(rows, self._labels[rows], rate, partial(siamese.apply, draw=draw))
            for rows, draw in zip((rows.to(images.device) for rows in batches), draws, strict=True)
        ]

    def _batches(self, iteration: int) -> Iterator[Tensor]:
        """Yield the indices of batches, from one random order after the other; a short batch comes first.

        This is the order of the authors' public code.
        """
        size, number = self._problem.parameters["batch_net"], 0
        while True:
            stream = streams.generator(self._problem.seed, "inner-batch", iteration, number)
            yield from reversed(torch.randperm(len(self._labels), generator=stream).split(size))
            number += 1


class _Pixels(Pixels):
    """Pixels whose snapshots include alpha."""

    def __init__(self, problem: Problem, run: Run, rate: _Rate) -> None:
        super().__init__(problem, run)
        self._rate = rate

    def learning_rate(self) -> Tensor:
        """See :class:`condensery.methods.pixels.Pixels`."""
        return self._rate.rate


class _Rate:
    """Alpha under SGD with momentum.

    Attributes:
        rate: alpha, a scalar.
    """

    def __init__(self, problem: Problem) -> None:
        parameters, device = problem.parameters, problem.device.torch_device
        self._lr, self._keep = parameters["lr_rate"], parameters["momentum"]
        self.rate = torch.tensor(parameters["lr_net"], device=device)
        self._momentum = torch.zeros_like(self.rate)

    def value(self, iteration: int) -> float:
        """Return alpha as a number.

        Args:
            iteration: index of the iteration, for the message.

        Raises:
            CondenseryError: alpha is not above 0.
        """
        value = self.rate.item()
        if not value > 0:
            raise CondenseryError(
                f"mtt: the learned rate is {value:g} after {iteration} iterations: lower lr_rate or lr_img, "
                "or raise lr_net, in config/methods.yaml or the protocol"
            )
        return value

    def step(self, gradient: Tensor) -> None:
        """Take one step along the gradient, a scalar."""
        self._momentum.mul_(self._keep).add_(gradient)
        self.rate.sub_(self._momentum, alpha=self._lr)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`condensery.run.Part.state`."""
        return {"rate": self.rate, "momentum": self._momentum}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See :meth:`condensery.run.Part.restore`."""
        self.rate.copy_(state["rate"])
        self._momentum.copy_(state["momentum"])
