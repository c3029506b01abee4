"""Recipes: epochs, batches, learning rates and augmentation of a network's training on a set of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from condensery import streams
from condensery.augmentation.mixing import Mix
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet
from condensery.training.descent import SGD, Adam, Optimizer
from condensery.training.schedules import HALFWAY, Schedule


@dataclass(frozen=True)
class Recipe:
    """The training of a network; the default options are those of DM section 3.1 and DSA section 4.1.

    Attributes:
        name: its name in tables.
        epochs: E, see :class:`condensery.training.schedules.Schedule` for the number of epochs run.
        lr: learning rate.
        momentum: momentum of SGD; the first beta of Adam and AdamW, whose second beta is 0.999.
        weight_decay: the multiple of weights that is added to gradients; decoupled for AdamW.
        batch: images per batch; the last partial batch is kept.
        augmentation: a DSA strategy, applied with separate parameters per image; or ``dc_`` and the families
            of :mod:`condensery.augmentation.dc`; or ``none``.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        schedule: the learning rate over the epochs, and the number of epochs run.
        mix: how augmented images of a batch are mixed; None does not mix them.
        loss: see :func:`condensery.training.losses.total`.
        temperature: temperature of the loss ``kl``; labels are probabilities at temperature 1.
        learned_lr: whether a learning rate that was learned with a set replaces ``lr``.
    """

    name: str
    epochs: int
    lr: float
    momentum: float
    weight_decay: float
    batch: int
    augmentation: str
    _: KW_ONLY
    optimizer: str = "sgd"
    schedule: Schedule = HALFWAY
    mix: Mix | None = None
    loss: str = "cross_entropy"
    temperature: float = 1.0
    learned_lr: bool = False

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the recipe with a name and parameters as in the configuration."""
        nested = {"schedule": Schedule, "mix": Mix}
        given = {name: kind(**values[name]) for name, kind in nested.items() if values.get(name)}
        return cls(**{**values, **given})

    def stated(self) -> dict[str, Any]:
        """Return name and parameters for a record, without options that have their default value.

        So a new option does not change the records of recipes without it.
        """
        return _stated(self)

    @property
    def epochs_run(self) -> int:
        """Number of epochs run."""
        return self.schedule.epochs_run(self.epochs)

    def rate(self, epoch: int, step: int, steps: int = 1) -> float:
        """Return the learning rate of a step.

        Args:
            epoch: zero-based index of the epoch.
            step: zero-based index of the step in its epoch.
            steps: number of steps per epoch.
        """
        return self.schedule.rate(self.lr, self.epochs, epoch, step, steps)

    def momentum_at(self, epoch: int, step: int) -> float:
        """Return the momentum of a step; epoch and step are zero-based indices."""
        return self.momentum

    def optimizer_of(self, parameters: Sequence[Tensor], rate: float) -> Optimizer:
        """Return a new optimizer for parameters, with learning rate ``rate``."""
        if self.optimizer == "sgd":
            return SGD(parameters, rate, self.momentum, self.weight_decay)
        decoupled = self.optimizer == "adamw"
        return Adam(parameters, rate, self.momentum, self.weight_decay, decoupled=decoupled)

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """Return the order of the images in an epoch: indices, int64 (count,).

        Args:
            count: number of training images.
            seed: seed of the network.
            epoch: zero-based index of the epoch.
        """
        return torch.randperm(count, generator=streams.generator(seed, "shuffle", epoch))


@dataclass(frozen=True)
class LearnedRecipe(Recipe):
    """The steps with which a set was learned: gradient descent on its batches, in their order.

    Attributes:
        rates: one learning rate per step, epochs x steps.
        momenta: one momentum per step, likewise; empty means zeros.
    """

    rates: tuple[tuple[float, ...], ...]
    momenta: tuple[tuple[float, ...], ...] = ()

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
        momenta = synthetic.momentum
        return cls(
            name=name,
            epochs=epochs,
            lr=rates[0, 0].item(),
            momentum=0.0,
            weight_decay=0.0,
            batch=len(synthetic) // steps,
            augmentation="none",
            rates=tuple(map(tuple, rates.tolist())),
            **({} if momenta is None else _kept(momenta)),
        )

    @property
    def epochs_run(self) -> int:
        """See :class:`Recipe`."""
        return self.epochs

    def rate(self, epoch: int, step: int, steps: int = 1) -> float:
        """See :class:`Recipe`."""
        return self.rates[epoch][step]

    def momentum_at(self, epoch: int, step: int) -> float:
        """See :class:`Recipe`."""
        return self.momenta[epoch][step] if self.momenta else self.momentum

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """See :class:`Recipe`."""
        return torch.arange(count)


@dataclass(frozen=True)
class RidgeRecipe(Recipe):
    """Kernel ridge regression in place of the training of a network, see :mod:`condensery.training.ridge`."""

    @classmethod
    def of_set(cls, name: str, synthetic: SyntheticSet) -> Self:
        """Return the recipe, which is the same for every set: one epoch, and no random draws."""
        return cls(name, epochs=1, lr=0.0, momentum=0.0, weight_decay=0.0, batch=1, augmentation="none")

    @property
    def epochs_run(self) -> int:
        """See :class:`Recipe`."""
        return 1


def _kept(momenta: Tensor) -> dict[str, Any]:
    """Return the options of a learned recipe with momenta, whose optimizer is not reset."""
    return {"momenta": tuple(map(tuple, momenta.tolist())), "schedule": Schedule("constant")}


def _stated(recipe: Recipe | Schedule | Mix) -> dict[str, Any]:
    found = {}
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        if value != each.default:
            found[each.name] = _stated(value) if isinstance(value, Schedule | Mix) else value
    return found


def resolve(values: Mapping[str, Any], synthetic: SyntheticSet | None) -> Recipe:
    """Return the recipe that a configuration describes.

    Args:
        values: ``name`` and the parameters. A recipe without parameters is ``ridge``, or takes its steps from
            the set.
        synthetic: the training set; None for a whole data set.

    Raises:
        CondenseryError: the recipe takes its steps from the set, which has no learning rates; or it takes
            its learning rate from the set, which is not a single number above 0.
    """
    if values.keys() > {"name"}:
        recipe = Recipe.of_values(values)
        if recipe.learned_lr and synthetic is not None and synthetic.learning_rate is not None:
            return replace(recipe, lr=_learned_rate(recipe.name, synthetic))
        return recipe
    if values["name"] == "ridge":
        if synthetic is None:
            raise CondenseryError("recipe ridge is for synthetic sets: choose another recipe")
        return RidgeRecipe.of_set("ridge", synthetic)
    if synthetic is None:
        raise CondenseryError(
            f"recipe {values['name']} needs the learning rates of a synthetic set: choose another recipe"
        )
    return LearnedRecipe.of_set(values["name"], synthetic)


def _learned_rate(recipe: str, synthetic: SyntheticSet) -> float:
    rates = torch.as_tensor(synthetic.learning_rate, dtype=torch.float64)
    if rates.numel() != 1:
        raise CondenseryError(
            f"{synthetic.source}: carries a learning rate for each of its steps, recipe {recipe} trains with "
            "one for all: choose recipe learned"
        )
    if rates.item() <= 0:
        raise CondenseryError(
            f"{synthetic.source}: carries the learning rate {rates.item():g}, with which recipe {recipe} "
            "cannot train: choose another recipe"
        )
    return rates.item()
