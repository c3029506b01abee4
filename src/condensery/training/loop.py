"""Train networks that are stacked, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from condensery import streams
from condensery.augmentation import drawn, mixing
from condensery.machine.ahead import Ahead
from condensery.run import UNATTENDED, Run
from condensery.training import losses
from condensery.training.descent import Optimizer
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
    on_epoch: Callable[[int], None] | None = None,
) -> Descent:
    """Train every network of the stack, in place.

    Args:
        stacked: the networks.
        samples: the images, the same for all.
        recipe: how they are trained.
        run: where to save the state between epochs and to resume from, and the progress in epochs.
        on_batch: called before every step with the indices, (K, n), and the logits, (K, n, classes), of its
            batch.
        extra_loss: a loss that is added to the recipe's. It gets the images, (K, n, C, H, W), and the
            logits, (K, n, classes), of a batch and returns the sum over the networks of its mean per image.
        on_epoch: called after every epoch with the number of epochs done, before the state may be saved.

    Returns:
        The state of the training, as it is saved between epochs.
    """
    descent = Descent(stacked, recipe)
    device, steps = stacked.device.torch_device, -(-len(samples) // recipe.batch)
    orders = Ahead(partial(_orders, stacked, recipe, len(samples)), recipe.epochs_run, device)
    changes = Ahead(partial(_augmentation, stacked, recipe, len(samples)), recipe.epochs_run * steps, device)
    for epoch in run.steps(recipe.epochs_run, descent):
        for step, rows in enumerate(orders(epoch).split(recipe.batch, dim=1)):
            optimizer = descent.at(recipe.rate(epoch, step, steps))
            optimizer.momentum = recipe.momentum_at(epoch, step)
            change = changes(epoch * steps + step)
            images, labels = _batch(stacked, samples, recipe, rows, (epoch, step), change)
            logits = stacked.logits(images, train=True)
            loss = losses.total(recipe, logits, labels)
            if extra_loss:
                loss = loss + extra_loss(images, logits)
            optimizer.zero_grad()
            loss.backward()
            if on_batch:
                on_batch(rows, logits.detach())
            optimizer.step()
        if on_epoch:
            on_epoch(epoch + 1)
        run.report(epoch + 1)
    return descent


class Descent:
    """Stacked networks and their optimizer, which may begin anew with every new learning rate."""

    def __init__(self, stacked: StackedNetworks, recipe: Recipe) -> None:
        """Begin with the recipe's first rate."""
        self._stacked, self._recipe = stacked, recipe
        self._optimizer = self._new(recipe.rate(0, 0))

    def at(self, rate: float) -> Optimizer:
        """Return the optimizer for a learning rate."""
        if rate != self._optimizer.lr:
            if self._recipe.schedule.restarts:
                self._optimizer = self._new(rate)
            self._optimizer.lr = rate
        return self._optimizer

    def _new(self, rate: float) -> Optimizer:
        return self._recipe.optimizer_of(list(self._stacked.parameters.values()), rate)

    def state(self) -> dict[str, Tensor]:
        """Return the state that training changes."""
        kept = self._optimizer.state(list(self._stacked.parameters))
        rate = torch.tensor(self._optimizer.lr, dtype=torch.float64)
        return self._stacked.state() | kept | {"rate": rate}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what :meth:`state` returned."""
        self._stacked.load(state)
        self._optimizer = self._new(state["rate"].item())
        self._optimizer.restore(state, list(self._stacked.parameters))


def _orders(stacked: StackedNetworks, recipe: Recipe, count: int, epoch: int) -> Tensor:
    """Return the order in which each network sees so many images in an epoch: int64 (K, count)."""
    return torch.stack([recipe.order(count, seed, epoch) for seed in stacked.seeds])


def _augmentation(
    stacked: StackedNetworks, recipe: Recipe, count: int, number: int
) -> Callable[[Tensor], Tensor]:
    """Return the augmentation of a batch, whose number counts the steps of all epochs on so many images."""
    epoch, step = divmod(number, -(-count // recipe.batch))
    drawing = [streams.generator(seed, "augmentation", epoch, step) for seed in stacked.seeds]
    shape = (min(recipe.batch, count - step * recipe.batch), *stacked.shape)
    return drawn(recipe.augmentation, shape, drawing, stacked.device.torch_device)


def _batch(
    stacked: StackedNetworks,
    samples: Samples,
    recipe: Recipe,
    rows: Tensor,
    address: tuple[int, int],
    change: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return the images (K, n, C, H, W), augmented, and labels at indices (K, n), in an epoch and step."""
    images = samples.batch(rows.flatten()).unflatten(0, rows.shape)
    labels = samples.labels[rows.to(samples.labels.device)]
    images = change(images)
    if recipe.mix is None:
        return images, labels
    labels = losses.soft(labels, stacked.classes)
    mixers = [streams.generator(seed, "mixing", *address) for seed in stacked.seeds]
    draws = [mixing.draw(recipe.mix, rows.shape[1], images.shape[-2:], mixer) for mixer in mixers]
    mixed = [mixing.apply(*each) for each in zip(images, labels, draws, strict=True)]
    return torch.stack([each for each, _ in mixed]), torch.stack([own for _, own in mixed])
