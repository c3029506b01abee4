"""IDC: match gradients of images that are decoded from fewer stored ones, in networks trained on real images.

Source: Kim et al., *Dataset Condensation via Efficient Synthetic-Data Parameterization*, 2022, and its
authors' public code. For each of ``iterations`` new random networks::

    for step in range(outer_loop):
        pixels  <- one step of SGD on the sum over classes of the distance between gradients
        network <- steps_net steps of SGD on batches of real images    (not after the last step)
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import streams
from condensery.augmentation import mixing, siamese
from condensery.augmentation.mixing import Mix
from condensery.errors import CondenseryError
from condensery.formation import decode
from condensery.machine.transfer import together
from condensery.methods import gradient_matching
from condensery.methods.base import Problem, register
from condensery.methods.gradient_distance import is_convolution
from condensery.methods.gradient_matching import GradientMatching
from condensery.methods.pixels import Pixels, UnitPixels
from condensery.run import Run
from condensery.training.descent import SGD


@register
class EfficientParameterization(GradientMatching):
    """Gradient matching whose stored images are decoded before they are matched.

    Parameters (``config/methods.yaml``): ``iterations``, the number of networks; ``outer_loop``, steps of the
    pixels per network; ``lr_img``, the learning rate for pixels from 0 to 1 and one image per class;
    ``momentum`` of the pixels; ``batch_real``, real images per class and step; ``batch_synthetic``, the
    largest number of decoded images per class and step; ``init``, ``real`` or ``noise``; ``distance``,
    ``mse-conv`` or ``l1-conv``; ``strategy``, the augmentation of the matching; ``formation``, parts along
    each side of a stored image. Of the network's training: ``steps_net``, batches between two steps of the
    pixels; ``batch_net``, real images per batch; ``lr_net``, ``momentum_net`` and ``decay_net`` of its SGD;
    ``strategy_net``, its augmentation; ``cutmix``, the probability that a batch is mixed.

    The classes depend on each other: the network is trained on all of them.
    """

    name = "idc"

    def strategy(self, problem: Problem) -> str:
        """See :class:`GradientMatching`; this is only the augmentation of the matching."""
        return str(problem.parameters["strategy"])

    def steps(self, problem: Problem) -> int:
        """See :class:`GradientMatching`."""
        return int(problem.parameters["outer_loop"])

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """See :class:`GradientMatching`."""
        return UnitPixels(problem, run)

    def matcher(self, problem: Problem) -> Matcher:
        """See :class:`GradientMatching`."""
        return Matcher(problem, self.strategy(problem))


class Matcher(gradient_matching.Matcher):
    """The distance of gradients for decoded images, in a network that trains on real images only."""

    def __init__(self, problem: Problem, strategy: str) -> None:
        """Build the network; :meth:`renew` draws its weights.

        Args:
            problem: the condensation.
            strategy: the augmentation of the matching, or ``none``.

        Raises:
            CondenseryError: the network has no convolution.
        """
        super().__init__(problem, strategy)
        if not any(map(is_convolution, self._parameters)):
            raise CondenseryError(
                f"idc matches the gradients of convolutions, of which network {problem.network} has none: "
                "choose another one"
            )
        self._descent = self._at_rest()
        probability = problem.parameters["cutmix"]
        self._mix = Mix("cutmix", probability, beta=1.0) if probability else None
        self._targets = torch.as_tensor(self._train.labels).to(problem.device.torch_device)

    def _images_seen(self) -> tuple[int, int]:
        parameters, classes = self._problem.parameters, len(self._problem.classes)
        steps = parameters["iterations"] * parameters["outer_loop"]
        once = classes * parameters["batch_real"] + parameters["steps_net"] * parameters["batch_net"]
        shown = min(self._problem.images_per_class, parameters["batch_synthetic"])
        return steps * once, steps * classes * shown

    def renew(self, iteration: int) -> None:
        """See :class:`condensery.methods.gradient_matching.Matcher`; the momentum is reset, too."""
        super().renew(iteration)
        self._descent = self._at_rest()

    def _at_rest(self) -> SGD:
        parameters = self._problem.parameters
        return SGD(
            self._parameters, parameters["lr_net"], parameters["momentum_net"], parameters["decay_net"]
        )

    def shown(self, images: Tensor, address: tuple[int, int, int]) -> Tensor:
        """See :class:`condensery.methods.gradient_matching.Matcher`; here some of the decoded images."""
        decoded = decode(images, self._problem.formation)
        most = self._problem.parameters["batch_synthetic"]
        if len(decoded) <= most:
            return decoded
        order = torch.randperm(
            len(decoded), generator=streams.generator(self._problem.seed, "decoded", *address)
        )
        return decoded[order[:most].to(decoded.device)]

    def train(self, images: Tensor, iteration: int, step: int) -> None:
        """Train the network on ``steps_net`` batches of real images.

        Batch norm uses the statistics of each batch here, and updates its running statistics.

        Args:
            images: the synthetic images, which are not used.
            iteration: index of the network; with the step it addresses batches, augmentations and mixing.
            step: index of the step of the pixels before this training.
        """
        self.network.train()
        classes = len(self._problem.data.info.classes)
        for rows, draw, mixed in self._real_batches(iteration, step):
            batch = siamese.apply(self._real(rows, images.dtype), draw)
            labels = self._targets[rows.to(self._targets.device)]
            if mixed is not None:
                batch, labels = mixing.apply(batch, F.one_hot(labels, classes).to(batch.dtype), mixed)
            loss = self._loss(self._forward, batch, labels) / len(rows)
            self._descent.zero_grad()
            loss.backward(inputs=list(self._parameters))
            self._descent.step()

    def _real_batches(
        self, iteration: int, step: int
    ) -> Iterator[tuple[Tensor, siamese.Draw, mixing.Draw | None]]:
        """Yield indices, augmentation and mixing of each batch of a training; no image occurs twice."""
        seed, parameters, info = self._problem.seed, self._problem.parameters, self._problem.data.info
        size = (info.height, info.width)
        shuffle = streams.generator(seed, "shuffle", iteration, step)
        order = torch.randperm(len(self._train), generator=shuffle)
        batches = order[: parameters["steps_net"] * parameters["batch_net"]].split(parameters["batch_net"])
        draws, mixes = [], []
        for number, rows in enumerate(batches):
            address = (iteration, step, number)
            stream = streams.generator(seed, "augmentation", *address)
            draws.append(siamese.draw(parameters["strategy_net"], len(rows), size, stream))
            mixer = streams.generator(seed, "mixing", *address)
            mixes.append(mixing.draw(self._mix, len(rows), size, mixer) if self._mix else None)
        moved = siamese.moved(draws, self._problem.device.torch_device)
        yield from zip(together(list(batches), self._train.device), moved, mixes, strict=True)
