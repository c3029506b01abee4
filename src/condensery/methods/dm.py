"""DM: match the mean features of real and synthetic images in many random networks.

Source: *Dataset Condensation with Distribution Matching*, section 2.3, Algorithm 1 and equation 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from condensery import networks, streams
from condensery.augmentation import siamese
from condensery.augmentation.siamese import Draw
from condensery.formation import decode
from condensery.methods.base import Problem, register
from condensery.methods.pixels import Pixels
from condensery.networks import Network
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet

REPORT_EVERY = 10

Weights = Callable[[Network, int], object]
"""Sets the weights of a network for a step, in place."""


def random_weights(problem: Problem, steps: int = 1) -> Weights:
    """Return a function that draws new random weights every ``steps`` steps; DM section 2.3: for each."""
    return lambda net, step: networks.initialize(
        net, streams.generator(problem.seed, "network", step // steps)
    )


@register
class DistributionMatching:
    """Learn the pixels of each class by stochastic gradient descent on its feature-mean distance.

    Parameters (``config/methods.yaml``): ``iterations``; ``lr_img`` and ``momentum`` of the pixels;
    ``batch_real``, real images of a class in a step; ``init``, ``real`` or ``noise``.
    """

    name = "dm"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        pixels = self.pixels(problem, run)
        matcher = self.matcher(problem)
        for step in pixels.iterations():
            gradient, loss = matcher.gradient(pixels.images, step)
            pixels.step(gradient)
            if (step + 1) % REPORT_EVERY == 0:
                run.report(step + 1, loss=loss)
        return problem.synthetic_set(pixels.images)

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """Return the images that are learned."""
        return Pixels(problem, run)

    def weights(self, problem: Problem) -> Weights:
        """Return the function that sets the weights of the condensing network."""
        return random_weights(problem)

    def matcher(self, problem: Problem) -> Matcher:
        """Return the loss that the pixels descend."""
        return Matcher(problem, self.weights(problem))


class Matcher:
    """The loss of one step and its gradient with respect to the pixels.

    What of an image is matched, and how two sets of it differ, are :meth:`features` and :meth:`loss`, which
    other methods replace.

    With instance norm an image's features do not depend on the rest of its batch, so classes go through
    the network in groups as large as the memory budget allows. Batch norm takes its statistics from all
    classes together (DM section 3.3), so all images of a kind make one batch.
    """

    def __init__(self, problem: Problem, weights: Weights | None = None) -> None:
        self._problem = problem
        self._weights = weights or random_weights(problem)
        self._train = problem.training_split()
        self._network = problem.new_network().train()
        for parameter in self._network.parameters():
            parameter.requires_grad_(False)
        info, parameters = problem.data.info, problem.parameters
        floats = networks.activations(self._network, info.channels, (info.height, info.width))
        shown = parameters["batch_real"] + problem.images_per_class
        images = parameters["iterations"] * len(problem.classes) * shown
        self._embed = problem.device.compiled(self.features(self._network), images * floats)
        self._groups = list(_class_groups(problem, self._network, floats))

    def features(self, network: Network) -> Callable[[Tensor], Tensor]:
        """Return the function that maps images (n, C, H, W) to the features that are matched, (n, F)."""
        return network.embed

    def loss(self, real: Sequence[Tensor], synthetic: Tensor) -> Tensor:
        """Return the sum over classes of the distances between real and synthetic images, a scalar.

        Args:
            real: for each class, the features of its real images, float32 (n, F).
            synthetic: those of its synthetic ones, float32 (classes, m, F), differentiable.
        """
        real_means = torch.stack([features.mean(0) for features in real])
        return (real_means - synthetic.mean(1)).square().sum()

    def gradient(self, images: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the gradient of the loss of ``step``, shaped like ``images``, and the loss, a scalar.

        Args:
            images: all synthetic images, (classes * ipc, C, H, W), in the order of the problem's classes.
            step: which step; it addresses the network, the real batches and the augmentations.
        """
        problem = self._problem
        self._weights(self._network, step)
        size = images.shape[-2:]
        gradient, total = torch.empty_like(images), images.new_zeros(())
        for group in self._groups:
            draws = [
                siamese.draw(
                    problem.augmentation, 1, size, streams.generator(problem.seed, "siamese", step, c)
                )
                for c in (problem.classes[i] for i in group)
            ]
            real = self._real_features(group, draws, step)
            rows = slice(group.start * problem.ipc, group.stop * problem.ipc)
            leaf = images[rows].detach().requires_grad_()
            with problem.device.autocast():
                features = self._embed(_augmented(self._shown(leaf), draws))
            loss = self.loss(real, features.float().view(len(group), problem.images_per_class, -1))
            (gradient[rows],) = torch.autograd.grad(loss, leaf)
            total += loss.detach()
        return gradient, total

    def _shown(self, stored: Tensor) -> Sequence[Tensor]:
        """Decode stored images, (classes * ipc, C, H, W), to the images of each class that they store."""
        problem = self._problem
        return [decode(part, problem.formation) for part in stored.split(problem.ipc)]

    @torch.no_grad()
    def _real_features(self, group: range, draws: Sequence[Draw], step: int) -> Sequence[Tensor]:
        """Return the features of each class's augmented real batch: float32, (n, F) for each class."""
        problem = self._problem
        batches = [
            problem.random_batch(
                c, problem.parameters["batch_real"], streams.generator(problem.seed, "real", step, c)
            )
            for c in (problem.classes[i] for i in group)
        ]
        sizes = [len(batch) for batch in batches]
        real = self._train.batch(np.concatenate(batches), problem.device.torch_device)
        with problem.device.autocast():
            features = self._embed(_augmented(real.split(sizes), draws))
        return features.float().split(sizes)


def _augmented(parts: Sequence[Tensor], draws: Sequence[Draw]) -> Tensor:
    return torch.cat([siamese.apply(part, draw) for part, draw in zip(parts, draws, strict=True)])


def _class_groups(problem: Problem, network: Network, floats: int) -> Iterator[range]:
    """Yield ranges of positions in ``problem.classes`` that go through the network together.

    Args:
        problem: the condensation.
        network: its network.
        floats: activations of one image.
    """
    count = len(problem.classes)
    images = max(problem.images_per_class, problem.parameters["batch_real"])
    at_once = max(1, problem.device.images_at_once(floats) // images)
    if networks.mixes_images(network):
        at_once = count
    for start in range(0, count, at_once):
        yield range(start, min(start + at_once, count))
