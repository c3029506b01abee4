"""How a network is trained on a set of images: epochs, batches, learning rates and augmentation."""

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
    """How a network is trained; without options as in the evaluation of DM section 3.1 and DSA section 4.1.

    Attributes:
        name: its name in tables.
        epochs: E.
        lr: learning rate.
        momentum: of SGD; of Adam and AdamW the first beta, where the second is 0.999.
        weight_decay: added to the gradient; of AdamW decoupled from it.
        batch: images in a batch; the last partial one is kept.
        augmentation: a DSA strategy, applied with parameters of its own for every image; or ``dc_`` and the
            families of :mod:`condensery.augmentation.dc`; or ``none``.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        schedule: the learning rate over the epochs, and how many of them are run.
        mix: how augmented images of a batch are mixed, if at all.
        loss: see :func:`condensery.training.losses.total`.
        temperature: of the loss ``kl``; labels are taken for probabilities at temperature 1.
        learned_lr: whether a learning rate that a set was learned with takes the place of ``lr``.
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
        """Return the recipe of a name and parameters as the configuration writes them."""
        nested = {"schedule": Schedule, "mix": Mix}
        given = {name: kind(**values[name]) for name, kind in nested.items() if values.get(name)}
        return cls(**{**values, **given})

    def stated(self) -> dict[str, Any]:
        """Return name and parameters for a record, without options that have their default.

        An option that is added later therefore changes no record of a recipe without it.
        """
        return _stated(self)

    @property
    def epochs_run(self) -> int:
        """Number of epochs run."""
        return self.schedule.epochs_run(self.epochs)

    def rate(self, epoch: int, step: int, steps: int = 1) -> float:
        """Return the learning rate of a step.

        Args:
            epoch: number of the epoch, from 0.
            step: number of the step in its epoch, from 0.
            steps: steps per epoch.
        """
        return self.schedule.rate(self.lr, self.epochs, epoch, step, steps)

    def momentum_at(self, epoch: int, step: int) -> float:
        """Return the momentum of a step of the epoch with this zero-based index."""
        return self.momentum

    def optimizer_of(self, parameters: Sequence[Tensor], rate: float) -> Optimizer:
        """Return an optimizer of parameters that has done no step."""
        if self.optimizer == "sgd":
            return SGD(parameters, rate, self.momentum, self.weight_decay)
        decoupled = self.optimizer == "adamw"
        return Adam(parameters, rate, self.momentum, self.weight_decay, decoupled=decoupled)

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """Return the order in which a network sees the images of an epoch: int64, (count,)."""
        return torch.randperm(count, generator=streams.generator(seed, "shuffle", epoch))


@dataclass(frozen=True)
class LearnedRecipe(Recipe):
    """The steps that a set was learned for: gradient descent on its batches, in their order.

    Attributes:
        rates: one learning rate per step, epochs x steps.
        momenta: likewise one momentum; none are zeros.
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
        """Return the recipe, which is the same for every set: one step, and nothing drawn at random."""
        return cls(name, epochs=1, lr=0.0, momentum=0.0, weight_decay=0.0, batch=1, augmentation="none")

    @property
    def epochs_run(self) -> int:
        """See :class:`Recipe`."""
        return 1


def _kept(momenta: Tensor) -> dict[str, Any]:
    """Return the options of a learned recipe with momenta, whose optimizer does not begin anew."""
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
        values: ``name`` and the parameters; a recipe without parameters is ``ridge``, or takes its steps from
            the set.
        synthetic: the set that is trained on, or None for a whole data set.

    Raises:
        CondenseryError: the recipe takes its steps from the set, which has no learning rates; or it takes
            the set's rate, which is not one number above 0.
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
