"""The base of DC, DSA, DCC and IDC: match the gradients of a network for real and for synthetic images.

Source: *Dataset Condensation with Gradient Matching* (DC), Algorithm 1; DSA section 3. For each of
``iterations`` new random networks the two loops are::

    for step in range(outer_loop):
        pixels  <- one step of SGD on the sum over classes of the distance between gradients
        network <- inner_loop epochs of SGD on the synthetic set    (not after the last step)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery import networks, streams
from condensery.errors import CondenseryError
from condensery.machine.ahead import Ahead, until
from condensery.methods.base import Problem
from condensery.methods.gradient_distance import DISTANCES
from condensery.methods.matching_draws import Drawn, Draws, Group
from condensery.methods.pixels import Pixels
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


class GradientMatching(ABC):
    """Learn the pixels by stochastic gradient descent on a distance between network gradients.

    Parameters (``config/methods.yaml``): ``iterations``, the number of networks; ``outer_loop``, steps of the
    pixels per network; ``inner_loop``, epochs of the network's training between two steps; ``lr_img`` and
    ``momentum`` of the pixels; ``lr_net`` of the network; ``batch_real``, real images per class and step;
    ``batch_net``, synthetic images per batch of the network's training; ``init``, ``real`` or ``noise``;
    ``distance``, ``layerwise``, ``mse`` or ``cos``.

    The classes depend on each other: the network is trained on all of them.
    """

    name: str

    @abstractmethod
    def strategy(self, problem: Problem) -> str:
        """Return the augmentation of the matching and of the network's training, or ``none``."""

    def transform(self, problem: Problem) -> str:
        """Return the images that the matching augments: a key of `matching_draws.TRANSFORMS`."""
        return "shared"

    def matcher(self, problem: Problem) -> Matcher:
        """Return the distance that the pixels minimize."""
        return Matcher(problem, self.strategy(problem), self.transform(problem))

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`.

        Raises:
            CondenseryError: ``outer_loop`` or ``inner_loop`` has no value for this number of images per
                class, or the augmentation does not suit the method.
        """
        steps = self.steps(problem)
        matcher = self.matcher(problem)
        pixels = self.pixels(problem, run)
        # An iteration is one network: between two iterations, the pixels are the whole state.
        for iteration in pixels.iterations():
            matcher.renew(iteration)
            for step in range(steps):
                gradient, loss = matcher.gradient(pixels.images, iteration, step)
                pixels.step(gradient)
                if step < steps - 1:
                    matcher.train(pixels.images, iteration, step)
            run.report(iteration + 1, loss=loss)
        return problem.synthetic_set(pixels.images)

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """Return the images that are learned."""
        return Pixels(problem, run)

    def steps(self, problem: Problem) -> int:
        """Return the number of steps of the pixels per network.

        Raises:
            CondenseryError: the parameter has no value for this number of images per class.
        """
        for key in ("outer_loop", "inner_loop"):
            if problem.parameters[key] is None:
                raise CondenseryError(
                    f"{self.name} has no {key} for {problem.ipc} images per class: set {key} in an override "
                    f"of {self.name} for ipc [{problem.ipc}], in config/methods.yaml or the protocol"
                )
        return problem.parameters["outer_loop"]


class Matcher:
    """One network at a time: the distance of its gradients, and its training.

    Attributes:
        network: the network of the current iteration, in the floating type of the images.
    """

    def __init__(self, problem: Problem, strategy: str, transform: str = "shared") -> None:
        """Build the network; :meth:`renew` draws its weights.

        Args:
            problem: the condensation.
            strategy: the augmentation, or ``none``.
            transform: the images that the matching augments: a key of `matching_draws.TRANSFORMS`.
        """
        self._problem = problem
        self._train = problem.training_split()
        self._distance = DISTANCES[problem.parameters["distance"]]
        self.network = problem.new_network()
        self._names, self._parameters = zip(*self.network.named_parameters(), strict=True)
        self._batch_norms = [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]
        info = problem.data.info
        floats = networks.activations(self.network, info.channels, (info.height, info.width))
        self._at_once = problem.device.images_at_once(floats)
        once, self._twice = (images * floats for images in self._images_seen())
        self._forward = problem.device.compiled(self.network, once)
        # Compiled as one function, because compiled graphs cannot be differentiated twice.
        # An image takes about three times as much memory there.
        self._together = problem.device.stack_networks
        twice: Callable[..., tuple[Tensor, Tensor]] = self._differentiate_twice
        if self._together:
            twice = torch.func.vmap(twice, in_dims=(None, 0, 0, 0))
        self._distance_and_gradient = problem.device.compiled(twice, 3 * self._twice)
        device, iterations = problem.device.torch_device, problem.parameters["iterations"]
        self._labels = problem.labels.to(device)
        draws = Draws(
            problem,
            strategy,
            transform,
            with_statistics=bool(self._batch_norms),
            at_once=self._at_once,
        )
        self.drawn = Ahead(draws.matching, draws.following, device)
        self._batches = Ahead(draws.batches, draws.following, device)
        self._weights = Ahead(self._initial, until(iterations), device)

    def _images_seen(self) -> tuple[int, int]:
        """Return the number of images that are differentiated once (real ones, training), and twice."""
        parameters, classes = self._problem.parameters, len(self._problem.classes)
        synthetic = classes * self._problem.ipc
        steps = parameters["iterations"] * parameters["outer_loop"]
        once = classes * parameters["batch_real"] + parameters["inner_loop"] * synthetic
        return steps * once, steps * synthetic

    def renew(self, iteration: int) -> None:
        """Give the network the initial weights of an iteration."""
        networks.assign(self.network, self._weights(iteration))

    def _initial(self, iteration: int) -> Tensor:
        return networks.draw(self.network, streams.generator(self._problem.seed, "network", iteration))

    def gradient(self, images: Tensor, iteration: int, step: int) -> tuple[Tensor, Tensor]:
        """Return the gradient of the loss with respect to the pixels, and the loss, a scalar.

        The loss is a sum over classes, and the term of a class depends only on the images of this class. On a
        CPU, the graph of each class is built, differentiated twice and freed before the next; on other
        devices this is done for as many classes at once as fit the memory budget.

        Args:
            images: all synthetic images, (classes * ipc, C, H, W), in the order of the problem's classes.
            iteration: index of the network; with the step it addresses real batches and augmentations.
            step: index of the step with this network.
        """
        drawn = self.drawn((iteration, step))
        self.set_statistics(drawn)
        gradient, total = torch.empty_like(images), images.new_zeros(())
        for group in drawn.groups:
            own = self._own(group)
            gradient[own], loss = self._group_gradient(images[own], (iteration, step), group)
            total += loss
        return gradient, total

    def train(self, images: Tensor, iteration: int, step: int) -> None:
        """Train the network for ``inner_loop`` epochs on the synthetic set, by SGD without momentum.

        Batch norm uses the statistics of each batch here, and updates its running statistics. The last
        partial batch is kept; each image is augmented with its own parameters.

        Args:
            images: all synthetic images, (classes * ipc, C, H, W), in the order of the problem's classes.
            iteration: index of the network; with the step it addresses shuffles and augmentations.
            step: index of the step of the pixels before this training.
        """
        self.network.train()
        for batch, labels in self._augmented(images, iteration, step):
            gradients = self._share(batch, labels, len(batch))
            with torch.no_grad():
                lr = self._problem.parameters["lr_net"]
                torch._foreach_add_(self._parameters, gradients, alpha=-lr)

    def shown(self, images: Tensor, address: tuple[int, int, int]) -> Tensor:
        """Return the images of a class that are matched in a step, differentiably; here the stored images.

        Args:
            images: the stored images of the class, (ipc, C, H, W).
            address: iteration, step and class.
        """
        return images

    def _augmented(self, images: Tensor, iteration: int, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the augmented images, (n, C, H, W), and labels, int64 (n,), of each batch of a training."""
        for batches in self._batches((iteration, step)):
            (rows,) = batches.rows()
            labels = self._labels[rows].split(batches.sizes)
            yield from zip(batches.change(images[rows]).split(batches.sizes), labels, strict=True)

    def _own(self, group: Group) -> slice:
        """Return the positions of the synthetic images of a group's classes."""
        return slice(group.classes.start * self._problem.ipc, group.classes.stop * self._problem.ipc)

    def _group_gradient(
        self, images: Tensor, address: tuple[int, int], group: Group
    ) -> tuple[Tensor, Tensor]:
        """Return the gradient of some classes with respect to their images, and the sum of their distances.

        Args:
            images: the synthetic images of the classes, (classes * ipc, C, H, W).
            address: iteration and step.
            group: the classes.
        """
        targets = list(self.real_gradients(group, images.dtype))
        leaf = images.detach().requires_grad_()
        classes = [self._problem.classes[i] for i in group.classes]
        parts = [
            self.shown(part, (*address, c))
            for part, c in zip(leaf.unflatten(0, (len(classes), -1)), classes, strict=True)
        ]
        augmented = group.of_synthetic(parts)
        each = augmented.detach().unflatten(0, (len(classes), -1))
        labels = self._labels[self._own(group)].view(len(classes), -1)[:, :1].expand(each.shape[:2])
        parameters = [parameter.detach() for parameter in self._parameters]
        if self._together:
            stacked = [torch.stack(of_classes) for of_classes in zip(*targets, strict=True)]
            upstream, distances = self._distance_and_gradient(parameters, stacked, each, labels)
            upstream, distance = upstream.flatten(0, 1), distances.sum()
        else:
            upstream, distance = self._distance_and_gradient(
                parameters, targets[0], each[0], labels[0].contiguous()
            )
        (gradient,) = torch.autograd.grad(augmented, leaf, upstream)
        return gradient, distance

    def _differentiate_twice(
        self, parameters: Sequence[Tensor], target: Sequence[Tensor], images: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the gradient of the distance with respect to the images, and the distance.

        Args:
            parameters: the parameters of the network, in their order.
            target: the gradients of the real images, one tensor per parameter.
            images: (n, C, H, W).
            labels: int64 (n,).
        """

        def distance(images: Tensor) -> Tensor:
            return self._distance(target, self._differentiable_gradients(parameters, images, labels))

        return torch.func.grad_and_value(distance)(images)

    def _differentiable_gradients(
        self, parameters: Sequence[Tensor], images: Tensor, labels: Tensor
    ) -> Sequence[Tensor]:
        """Return the gradient of the mean loss of images, a tensor for each parameter, differentiably."""

        def mean_loss(parameters: Sequence[Tensor], images: Tensor) -> Tensor:
            named = dict(zip(self._names, parameters, strict=True))

            def network(images: Tensor) -> Tensor:
                return torch.func.functional_call(self.network, named, (images,))

            return self._loss(network, images, labels) / len(images)

        return torch.func.grad(mean_loss)(parameters, images)

    def real_gradients(self, group: Group, dtype: torch.dtype) -> Iterator[Sequence[Tensor]]:
        """Yield the gradient of the mean loss of each class's real images, a tensor for each parameter.

        Args:
            group: the classes.
            dtype: the floating type of the network.
        """
        (rows,) = group.rows()
        real = group.of_real(self._real(rows, dtype).split(group.sizes)).split(group.sizes)
        for position, images in zip(group.classes, real, strict=True):
            labels = self._labels.new_full((len(images),), self._problem.classes[position])
            yield self._gradients(images, labels)

    def _gradients(self, images: Tensor, labels: Tensor) -> Sequence[Tensor]:
        """Return the gradient of the mean loss of images, a tensor for each parameter.

        Images go through the network in parts that fit the memory budget. The result does not depend on the
        parts, because batch norm has fixed statistics during the matching.
        """
        first, *others = zip(images.split(self._at_once), labels.split(self._at_once), strict=True)
        sums = self._share(*first, len(images))
        for part, answers in others:
            sums = torch._foreach_add(sums, self._share(part, answers, len(images)))
        return sums

    def _share(self, images: Tensor, labels: Tensor, count: int) -> tuple[Tensor, ...]:
        """Return what images contribute to the gradient of the mean loss of ``count`` images."""
        loss = self._loss(self._forward, images, labels)
        return torch.autograd.grad(loss, self._parameters, loss.new_full((), 1 / count))

    def set_statistics(self, drawn: Drawn) -> None:
        """Fix batch norm's statistics, if there are any, at those of real images of all classes."""
        self.network.train()
        if not self._batch_norms:
            return
        (rows,) = drawn.statistics()
        with torch.no_grad(), self._problem.device.autocast():
            self.network(self._real(rows, self._parameters[0].dtype))
        for module in self._batch_norms:
            module.eval()

    def _real(self, indices: np.ndarray | Tensor, dtype: torch.dtype) -> Tensor:
        return self._train.batch(indices, self._problem.device.torch_device).to(dtype)

    def _loss(self, network: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy, summed over the images and in their floating type."""
        with self._problem.device.autocast():
            logits = network(images)
        return F.cross_entropy(logits.to(images.dtype), labels, reduction="sum")
