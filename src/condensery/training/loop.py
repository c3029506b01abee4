"""Train networks that are stacked, epoch after epoch, with cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import streams
from condensery.augmentation import augment
from condensery.run import UNATTENDED, Run
from condensery.training.descent import SGD
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks


def train(
    stacked: StackedNetworks,
    samples: Samples,
    recipe: Recipe,
    *,
    run: Run = UNATTENDED,
    on_batch: Callable[[Tensor, Tensor], None] | None = None,
    extra_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Descent:
    """Train every network of the stack, in place.

    Args:
        stacked: the networks.
        samples: the images, the same for all.
        recipe: how they are trained.
        run: where to save the state between epochs and to resume from, and who is shown the epochs done.
        on_batch: called before every step with the indices, (K, n), and the logits, (K, n, classes), of its
            batch.
        extra_loss: a loss that is added to the cross-entropy. It gets the images, (K, n, C, H, W), and the
            logits, (K, n, classes), of a batch and returns the sum over the networks of its mean per image.

    Returns:
        The state of the training, as it is saved between epochs.
    """
    descent = Descent(stacked, recipe)
    for epoch in run.steps(recipe.epochs_run, descent):
        for step, (rows, images) in enumerate(_batches(stacked, samples, recipe, epoch)):
            optimizer = descent.at(recipe.rate(epoch, step))
            logits = stacked.logits(images, train=True)
            labels = samples.labels[rows.to(samples.labels.device)]
            # A sum over networks, so that each gets the gradient of its own mean loss.
            losses = (
                F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1), reduction="sum") / rows.shape[1]
            )
            if extra_loss:
                losses = losses + extra_loss(images, logits)
            optimizer.zero_grad()
            losses.backward()
            if on_batch:
                on_batch(rows, logits.detach())
            optimizer.step()
        run.report(epoch + 1)
    return descent


class Descent:
    """Stacked networks and their optimizer, which begins anew with every new learning rate."""

    def __init__(self, stacked: StackedNetworks, recipe: Recipe) -> None:
        """Begin with the recipe's first rate."""
        self._stacked, self._recipe = stacked, recipe
        self._sgd = self._new(recipe.rate(0, 0))

    def at(self, rate: float) -> SGD:
        """Return the optimizer for a learning rate."""
        if rate != self._sgd.lr:
            self._sgd = self._new(rate)
        return self._sgd

    def _new(self, rate: float) -> SGD:
        parameters = list(self._stacked.parameters.values())
        return SGD(parameters, rate, self._recipe.momentum, self._recipe.weight_decay)

    def state(self) -> dict[str, Tensor]:
        """Return the state that training changes."""
        # Without a first step or without momentum there are no momenta.
        held = zip(self._stacked.parameters, self._sgd.momenta, strict=False)
        momenta = {f"momentum of {name}": momentum for name, momentum in held}
        return self._stacked.state() | momenta | {"rate": torch.tensor(self._sgd.lr, dtype=torch.float64)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what :meth:`state` returned."""
        self._stacked.load(state)
        self._sgd = self._new(state["rate"].item())
        for name, parameter in self._stacked.parameters.items():
            if f"momentum of {name}" in state:
                self._sgd.momenta.append(state[f"momentum of {name}"].to(parameter.device))


def _batches(
    stacked: StackedNetworks, samples: Samples, recipe: Recipe, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches: indices (K, n) and augmented images (K, n, C, H, W)."""
    orders = torch.stack([recipe.order(len(samples), seed, epoch) for seed in stacked.seeds])
    for number, rows in enumerate(orders.split(recipe.batch, dim=1)):
        images = samples.batch(rows.flatten()).unflatten(0, rows.shape)
        drawn = [streams.generator(seed, "augmentation", epoch, number) for seed in stacked.seeds]
        yield rows, augment(images, recipe.augmentation, drawn)
