"""How a network is trained on a set of images: epochs, batches, learning rates and augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from condensery import streams
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent as in the evaluation of DM section 3.1 and DSA section 4.1.

    Attributes:
        name: its name in tables.
        epochs: E; as in the authors' public code the loop runs E + 1 epochs, those with (zero-based) index
            up to E // 2 + 1 at ``lr`` and the others at a tenth of it.
        lr: learning rate.
        momentum: of SGD; the buffer is reset when the learning rate falls.
        weight_decay: of SGD.
        batch: images in a batch; the last partial one is kept.
        augmentation: a DSA strategy, applied with parameters of its own for every image; or ``dc_`` and the
            families of :mod:`condensery.augmentation.dc`; or ``none``.
    """

    name: str
    epochs: int
    lr: float
    momentum: float
    weight_decay: float
    batch: int
    augmentation: str

    @property
    def epochs_run(self) -> int:
        """Number of epochs run: E + 1."""
        return self.epochs + 1

    def rate(self, epoch: int, step: int) -> float:
        """Return the learning rate of a step of the epoch with this zero-based index."""
        return self.lr if epoch <= self.epochs // 2 + 1 else self.lr / 10

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """Return the order in which a network sees the images of an epoch: int64, (count,)."""
        return torch.randperm(count, generator=streams.generator(seed, "shuffle", epoch))


@dataclass(frozen=True)
class LearnedRecipe(Recipe):
    """The steps that a set was learned for: plain gradient descent on its batches, in their order.

    Attributes:
        rates: one learning rate per step, epochs x steps.
    """

    rates: tuple[tuple[float, ...], ...]

    @classmethod
    def of_set(cls, name: str, synthetic: SyntheticSet) -> Self:
        """Return the recipe of a set with learning rates (E, S), whose images are S batches of equal size.

        Raises:
            CondenseryError: the set has no such learning rates.
        """
        rates = synthetic.learning_rate
        if not isinstance(rates, Tensor) or rates.ndim != 2 or len(synthetic) % rates.shape[1]:
            raise CondenseryError(
                f"{synthetic.source}: carries no learning rate for each of its steps, which recipe {name} "
                "trains with: choose another recipe, or a set of a method that learns them (dd)"
            )
        epochs, steps = rates.shape
        return cls(
            name=name,
            epochs=epochs,
            lr=rates[0, 0].item(),
            momentum=0.0,
            weight_decay=0.0,
            batch=len(synthetic) // steps,
            augmentation="none",
            rates=tuple(map(tuple, rates.tolist())),
        )

    @property
    def epochs_run(self) -> int:
        """See :class:`Recipe`."""
        return self.epochs

    def rate(self, epoch: int, step: int) -> float:
        """See :class:`Recipe`."""
        return self.rates[epoch][step]

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """See :class:`Recipe`."""
        return torch.arange(count)


def resolve(values: Mapping[str, Any], synthetic: SyntheticSet | None) -> Recipe:
    """Return the recipe that a configuration describes.

    Args:
        values: ``name`` and the parameters; a recipe without parameters takes its steps from the set.
        synthetic: the set that is trained on, or None for a whole data set.

    Raises:
        CondenseryError: the recipe takes its steps from the set, which has no learning rates.
    """
    if values.keys() > {"name"}:
        return Recipe(**values)
    if synthetic is None:
        raise CondenseryError(
            f"recipe {values['name']} needs the learning rates of a synthetic set: choose another recipe"
        )
    return LearnedRecipe.of_set(values["name"], synthetic)
