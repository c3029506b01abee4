"""DM: match the mean features of real and synthetic images in many random networks.

Source: *Dataset Condensation with Distribution Matching*, section 2.3, Algorithm 1 and equation 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from condensery import networks, streams
from condensery.augmentation import Batches, Change, drawn_for_each
from condensery.formation import decode
from condensery.machine.ahead import Ahead, until
from condensery.machine.transfer import Parcel
from condensery.methods.base import Problem, register
from condensery.methods.pixels import Pixels
from condensery.networks import Network
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet

REPORT_EVERY = 10

Weights = Callable[[Network, int], object]
"""Sets the weights of a network for a step, in place."""


class RandomWeights:
    """New random weights of a network every ``steps`` steps; in DM section 2.3 every step."""

    def __init__(self, problem: Problem, steps: int = 1) -> None:
        self._network, self._seed, self._steps = problem.new_network(), problem.seed, steps

    def drawn(self, step: int) -> Tensor:
        """Return the weights of a step, as one vector on the CPU, see `condensery.networks.draw`."""
        return networks.draw(self._network, streams.generator(self._seed, "network", step // self._steps))

    def __call__(self, net: Network, step: int) -> None:
        """Set the weights of a network for a step, in place."""
        networks.assign(net, self.drawn(step))


class _Drawn(NamedTuple):
    """The random draws of a step. Functions return them on the device, see `condensery.machine.transfer`.

    Attributes:
        weights: returns the weights of the network; None if they are not drawn here.
        rows: per group of classes, a function that returns the indices of its real images, int64 (n,), and
            the number of images per class.
        changes: the augmentation of each group.
    """

    weights: Callable[[], list[Tensor]] | None
    rows: list[tuple[Callable[[], list[Tensor]], list[int]]]
    changes: list[Change]


@register
class DistributionMatching:
    """Learn the pixels of each class by stochastic gradient descent on its feature-mean distance.

    Parameters (``config/methods.yaml``): ``iterations``; ``lr_img`` and ``momentum`` of the pixels;
    ``batch_real``, real images per class and step; ``init``, ``real`` or ``noise``.
    """

    name = "dm"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        return descended(problem, self.pixels(problem, run), self.matchers(problem), run)

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """Return the images that are learned."""
        return Pixels(problem, run)

    def weights(self, problem: Problem) -> Weights:
        """Return the function that sets the weights of the condensing network."""
        return RandomWeights(problem)

    def matchers(self, problem: Problem) -> Sequence[Matcher]:
        """Return the losses, on each of which the pixels take a step per iteration, in this order."""
        return [self.matcher(problem)]

    def matcher(self, problem: Problem) -> Matcher:
        """Return the loss of the features."""
        return Matcher(problem, self.weights(problem))


def descended(problem: Problem, pixels: Pixels, matchers: Sequence[Matcher], run: Run) -> SyntheticSet:
    """Run all iterations: in each, take one step of the pixels on each loss; return the synthetic set.

    Args:
        problem: the condensation.
        pixels: the images and their optimizer.
        matchers: the losses.
        run: reports the progress in iterations.
    """
    for step in pixels.iterations():
        total = pixels.images.new_zeros(len(problem.classes))
        for matcher in matchers:
            gradient, losses = matcher.gradient(pixels.images, step)
            pixels.step(gradient)
            total += losses
        pixels.heed(total)
        if (step + 1) % REPORT_EVERY == 0:
            run.report(step + 1, loss=total.sum())
    return problem.synthetic_set(pixels.images)


class Matcher:
    """The loss of one step and its gradient with respect to the pixels.

    Other methods override :meth:`features`, what of an image is matched; :meth:`batch`, the real images; and
    :meth:`loss`, the distance.

    With instance norm the features of an image do not depend on the rest of its batch, and classes go through
    the network in groups as large as the memory budget allows. Batch norm takes its statistics from all
    classes together (DM section 3.3): all real images make one batch, and all synthetic images another.

    Attributes:
        drawn: the purpose of the stream from which augmentations are drawn.
    """

    drawn = "siamese"

    def __init__(self, problem: Problem, weights: Weights | None = None) -> None:
        self._problem = problem
        self._weights = weights or RandomWeights(problem)
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
        self._draws = Ahead(self._drawn, until(parameters["iterations"]), problem.device.torch_device)

    def features(self, network: Network) -> Callable[[Tensor], Tensor]:
        """Return the function that maps images (n, C, H, W) to the features that are matched, (n, F)."""
        return network.embed

    def batch(self, c: int, step: int) -> np.ndarray:
        """Return the indices of the real images of a class in a step, int64 (n,), which may be empty."""
        stream = streams.generator(self._problem.seed, "real", step, c)
        return self._problem.random_batch(c, self._problem.parameters["batch_real"], stream)

    def loss(self, real: Sequence[Tensor], synthetic: Tensor, classes: Sequence[int], step: int) -> Tensor:
        """Return the distance between the real and the synthetic images of each class, (classes,).

        Args:
            real: per class, the features of its real images, float32 (n, F).
            synthetic: the features of the synthetic images, float32 (classes, m, F), differentiable.
            classes: the classes, in the order of both.
            step: index of the step, from 0.
        """
        if len({len(features) for features in real}) == 1:
            real_means = torch.stack(list(real)).mean(1)
        else:
            real_means = torch.stack([features.mean(0) for features in real])
        return (real_means - synthetic.mean(1)).square().sum(1)

    def gradient(self, images: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the gradient of the loss of ``step``, shaped like ``images``, and the loss, (classes,).

        Args:
            images: all synthetic images, (classes * ipc, C, H, W), in the order of the problem's classes.
            step: index of the step, which addresses the network, the real batches and the augmentations.
        """
        problem, drawn = self._problem, self._draws(step)
        if drawn.weights:
            networks.assign(self._network, drawn.weights()[0])
        else:
            self._weights(self._network, step)
        gradient, losses = torch.empty_like(images), []
        for group, (rows, sizes), change in zip(self._groups, drawn.rows, drawn.changes, strict=True):
            classes = [problem.classes[i] for i in group]
            real = self._real_features(rows()[0], sizes, change)
            own = slice(group.start * problem.ipc, group.stop * problem.ipc)
            leaf = images[own].detach().requires_grad_()
            with problem.device.autocast():
                features = self._embed(change(self._shown(leaf)))
            synthetic = features.float().view(len(group), problem.images_per_class, -1)
            loss = self.loss(real, synthetic, classes, step)
            (gradient[own],) = torch.autograd.grad(loss.sum(), leaf)
            losses.append(loss.detach())
        return gradient, torch.cat(losses)

    def _drawn(self, step: int) -> _Drawn:
        """Make the random draws of a step; they are copied to the device in one transfer, if possible."""
        problem, info = self._problem, self._problem.data.info
        size, device = (info.height, info.width), problem.device.torch_device
        parcel, weights = Parcel(device), None
        if isinstance(self._weights, RandomWeights):
            weights = parcel.add([self._weights.drawn(step)])
        # If the images are on the host, their indices stay there.
        of_rows = parcel if self._train.device.type == device.type else Parcel(self._train.device)
        rows, changes = [], []
        for group in self._groups:
            classes = [problem.classes[i] for i in group]
            batches = [self.batch(c, step) for c in classes]
            taken = of_rows.add([torch.from_numpy(np.concatenate(batches))])
            rows.append((taken, [len(batch) for batch in batches]))
            drawing = [streams.generator(problem.seed, self.drawn, step, c) for c in classes]
            changes.append(drawn_for_each(problem.augmentation, size, drawing, parcel))
        parcel.close()
        return _Drawn(weights, rows, changes)

    def _shown(self, stored: Tensor) -> Batches:
        """Decode stored images, (classes * ipc, C, H, W), to the images of each class."""
        problem = self._problem
        parts = stored.unflatten(0, (-1, problem.ipc))
        return parts if problem.formation == 1 else [decode(part, problem.formation) for part in parts]

    @torch.no_grad()
    def _real_features(self, rows: Tensor, sizes: Sequence[int], change: Change) -> Sequence[Tensor]:
        """Return the features of each class's augmented real images: float32, (n, F) for each class.

        Args:
            rows: indices of the images, int64 (N,), one class after the other; if empty, so is the result.
            sizes: number of images per class.
            change: the augmentation.
        """
        if not len(rows):
            return []
        device = self._problem.device
        real = self._train.batch(rows, device.torch_device)
        same = len(set(sizes)) == 1
        with device.autocast():
            features = self._embed(change(real.unflatten(0, (len(sizes), -1)) if same else real.split(sizes)))
        return features.float().split(sizes)


def _class_groups(problem: Problem, network: Network, floats: int) -> Iterator[range]:
    """Yield ranges of positions in ``problem.classes`` that go through the network together.

    Args:
        problem: the condensation.
        network: its network.
        floats: number of activations per image.
    """
    count = len(problem.classes)
    images = max(problem.images_per_class, problem.parameters["batch_real"])
    at_once = max(1, problem.device.images_at_once(floats) // images)
    if networks.mixes_images(network):
        at_once = count
    for start in range(0, count, at_once):
        yield range(start, min(start + at_once, count))
