"""How a network is trained on a set of images: epochs, batches, learning rates and augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from condensery import streams


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent as in the evaluation of DM section 3.1 and DSA section 4.1.

    Attributes:
        name: what tables call it.
        epochs: E; as in the authors' public code the loop runs E + 1 epochs, those with (zero-based) index
            up to E // 2 + 1 at ``lr`` and the others at a tenth of it.
        lr: learning rate.
        momentum: of SGD; the buffer is lost when the learning rate falls.
        weight_decay: of SGD.
        batch: images in a batch; the last partial one is kept.
        augmentation: a DSA strategy, applied with parameters of its own for every image; or ``dc_`` and the
            families of :mod:`condensery.dc_augment`; or ``none``.
    """

    name: str
    epochs: int
    lr: float
    momentum: float
    weight_decay: float
    batch: int
    augmentation: str

    @property
    def passes(self) -> int:
        """How often the images are gone through."""
        return self.epochs + 1

    def rate(self, epoch: int) -> float:
        """Return the learning rate of the epoch with this zero-based index."""
        return self.lr if epoch <= self.epochs // 2 + 1 else self.lr / 10

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """Return the order in which a network sees the images of an epoch: int64, (count,)."""
        return torch.randperm(count, generator=streams.generator(seed, "shuffle", epoch))
