"""IDM: DM in networks that are trained at the same time, with the synthetic images' cross-entropy added.

Source: Zhao et al., *Improved Distribution Matching for Dataset Condensation*, 2023, and its authors' public
code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from condensery.methods import dm
from condensery.methods.base import Problem, register
from condensery.methods.calibration import cross_entropy
from condensery.methods.dm import DistributionMatching, descended
from condensery.methods.pixels import Pixels
from condensery.methods.queue import Queue
from condensery.networks import Network
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet


@register
class ImprovedMatching(DistributionMatching):
    """DM in a network from a queue, plus its cross-entropy with a weight proportional to its accuracy.

    Parameters besides those of DM and of :class:`condensery.methods.queue.Queue`: ``formation``, parts along
    each side of a stored image; ``cross_entropy``, the weight of the cross-entropy per percent of the
    network's accuracy.
    """

    name = "idm"

    def condense(self, problem: Problem, *, run: Run = UNATTENDED) -> SyntheticSet:
        """See :class:`condensery.methods.base.Method`."""
        queue = Queue(problem)
        pixels = _Pixels(problem, run.carrying({"queue": queue}), queue)
        return descended(problem, pixels, [Matcher(problem, queue)], run)


class _Pixels(Pixels):
    """Pixels that advance the queue of networks in each iteration."""

    def __init__(self, problem: Problem, run: Run, queue: Queue) -> None:
        super().__init__(problem, run)
        self._queue = queue

    def iterations(self) -> Iterator[int]:
        """See :class:`condensery.methods.pixels.Pixels`."""
        for iteration in super().iterations():
            self._queue.renew(iteration)
            yield iteration
            self._queue.train(iteration)


class Matcher(dm.Matcher):
    """DM's loss and the cross-entropy of the synthetic images, from one pass through the network."""

    def __init__(self, problem: Problem, queue: Queue) -> None:
        """See :class:`condensery.methods.dm.Matcher`.

        Args:
            problem: the condensation.
            queue: the networks.
        """
        super().__init__(problem, queue.choose)
        self._queue = queue

    def features(self, network: Network) -> Callable[[Tensor], Tensor]:
        """Return the function from images (n, C, H, W) to their features and logits, (n, F + classes)."""

        def both(images: Tensor) -> Tensor:
            features = network.embed(images)
            return torch.cat([features, network.classifier(features)], dim=1)

        return both

    def loss(self, real: Sequence[Tensor], synthetic: Tensor, classes: Sequence[int], step: int) -> Tensor:
        """See :class:`condensery.methods.dm.Matcher`."""
        width = self._network.features
        matched = super().loss([each[:, :width] for each in real], synthetic[..., :width], classes, step)
        weight = self._problem.parameters["cross_entropy"] * self._queue.chosen(step).accuracy
        return matched + weight * cross_entropy(synthetic[..., width:], classes)
