"""Train networks that are stacked, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from condensery import streams
from condensery.augmentation import drawn, mixing
from condensery.machine.ahead import Ahead, until
from condensery.machine.transfer import Parcel
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
        samples: the training images, the same for all networks.
        recipe: how they are trained.
        run: the checkpoint saves the state between epochs; the progress counts epochs.
        on_batch: called before every step with the indices, (K, n), and the logits, (K, n, classes), of its
            batch.
        extra_loss: a loss that is added to that of the recipe. It gets the images, (K, n, C, H, W), and the
            logits, (K, n, classes), of a batch, and returns the sum over networks of the mean over images.
        on_epoch: called after every epoch with the number of completed epochs, before the state is saved.

    Returns:
        The networks with their optimizer, whose state is saved between epochs.
    """
    descent = Descent(stacked, recipe)
    steps = -(-len(samples) // recipe.batch)
    orders = _Orders(stacked, recipe, len(samples))
    draws = Ahead(
        lambda number: _drawn(stacked, recipe, orders, divmod(number, steps)),
        until(recipe.epochs_run * steps),
        stacked.device.torch_device,
    )
    for epoch in run.steps(recipe.epochs_run, descent):
        for step in range(steps):
            optimizer = descent.at(recipe.rate(epoch, step, steps))
            optimizer.momentum = recipe.momentum_at(epoch, step)
            batch = draws(epoch * steps + step)
            images, labels = _batch(stacked, samples, recipe, batch, (epoch, step))
            logits = stacked.logits(images, train=True)
            loss = losses.total(recipe, logits, labels)
            if extra_loss:
                loss = loss + extra_loss(images, logits)
            optimizer.zero_grad()
            loss.backward()
            if on_batch:
                on_batch(batch.rows, logits.detach())
            optimizer.step()
        if on_epoch:
            on_epoch(epoch + 1)
        run.report(epoch + 1)
    return descent


class Descent:
    """Stacked networks and their optimizer, which may be reset with every new learning rate."""

    def __init__(self, stacked: StackedNetworks, recipe: Recipe) -> None:
        """Begin with the recipe's first rate."""
        self._stacked, self._recipe = stacked, recipe
        self._optimizer = self._new(recipe.rate(0, 0))

    def at(self, rate: float) -> Optimizer:
        """Return the optimizer with a learning rate."""
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
        """Restore what :meth:`state` returned."""
        self._stacked.load(state)
        self._optimizer = self._new(state["rate"].item())
        self._optimizer.restore(state, list(self._stacked.parameters))


class _Orders:
    """The orders in which the networks see the images; those of the last requested epoch are cached."""

    def __init__(self, stacked: StackedNetworks, recipe: Recipe, count: int) -> None:
        self._stacked, self._recipe, self._count = stacked, recipe, count
        self._last: tuple[int, Tensor] = -1, torch.empty(0)

    def __call__(self, epoch: int) -> Tensor:
        """Return the orders of an epoch, int64 (K, count)."""
        last, orders = self._last
        if last != epoch:
            drawn = [self._recipe.order(self._count, seed, epoch) for seed in self._stacked.seeds]
            orders = torch.stack(drawn)
            self._last = epoch, orders
        return orders


class _Drawn(NamedTuple):
    """The random draws of a step.

    Attributes:
        rows: indices of the images of each network, int64 (K, n) on the CPU.
        there: returns the same indices on the device.
        change: the augmentation.
    """

    rows: Tensor
    there: Callable[[], list[Tensor]]
    change: Callable[[Tensor], Tensor]


def _drawn(stacked: StackedNetworks, recipe: Recipe, orders: _Orders, address: tuple[int, int]) -> _Drawn:
    """Make the draws of a step of an epoch; they are copied to the device in one transfer."""
    epoch, step = address
    rows = orders(epoch)[:, step * recipe.batch : (step + 1) * recipe.batch]
    parcel = Parcel(stacked.device.torch_device)
    there = parcel.add([rows])
    drawing = [streams.generator(seed, "augmentation", *address) for seed in stacked.seeds]
    change = drawn(recipe.augmentation, (rows.shape[1], *stacked.shape), drawing, parcel)
    parcel.close()
    return _Drawn(rows, there, change)


def _batch(
    stacked: StackedNetworks, samples: Samples, recipe: Recipe, batch: _Drawn, address: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the augmented images (K, n, C, H, W) and the labels of a batch."""
    (there,) = batch.there()
    rows = there if samples.rows_there else batch.rows
    images = batch.change(samples.batch(rows.flatten()).unflatten(0, rows.shape))
    labels = samples.labels[there]
    if recipe.mix is None:
        return images, labels
    labels = losses.soft(labels, stacked.classes)
    mixers = [streams.generator(seed, "mixing", *address) for seed in stacked.seeds]
    draws = [mixing.draw(recipe.mix, rows.shape[1], images.shape[-2:], mixer) for mixer in mixers]
    mixed = [mixing.apply(*each) for each in zip(images, labels, draws, strict=True)]
    return torch.stack([each for each, _ in mixed]), torch.stack([own for _, own in mixed])
