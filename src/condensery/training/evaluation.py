"""Train networks on a set of images, with cross-entropy, and test them.

Only the last epoch counts: nothing is selected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import networks, streams
from condensery.augmentation import augment
from condensery.data import DataInfo, Split
from condensery.errors import CondenseryError
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run, Stopwatch
from condensery.training import stacking
from condensery.training.descent import SGD
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples

TEST_BATCH = 500


SEEDS_PER_SET = 1000
"""Networks that may be trained on a set: those of different sets have different seeds."""


def network_seeds(set_seed: int, networks: int) -> range:
    """Return the seeds of the networks that are trained on a set.

    Raises:
        CondenseryError: the number is below 1 or above :data:`SEEDS_PER_SET`.
    """
    if not 0 < networks <= SEEDS_PER_SET:
        raise CondenseryError(f"--networks {networks} is out of range: give 1 to {SEEDS_PER_SET}")
    return range(set_seed * SEEDS_PER_SET, set_seed * SEEDS_PER_SET + networks)


@dataclass(frozen=True)
class Outcome:
    """One trained network's result: its seed, test accuracy in percent, and seconds of work."""

    network_seed: int
    accuracy: float
    train_seconds: float
    test_seconds: float


class StackedNetworks:
    """K networks of one shape, trained and tested at once or, where K is 1, as plain modules.

    Their parameters are stacked along a new first dimension, (K, ...), and each network sees batches,
    augmentations and initial weights from streams of its own seed, so that a network's result does not
    depend on which others are trained with it. ``images`` is how many each will see, in all epochs.
    """

    def __init__(
        self, name: str, info: DataInfo, seeds: Sequence[int], device: Device, *, images: int
    ) -> None:
        size = (info.height, info.width)
        self.seeds, self.device = tuple(seeds), device
        nets = [
            networks.initialize(
                networks.build(name, channels=info.channels, size=size, classes=len(info.classes)),
                streams.generator(seed, "evaluation-network"),
            )
            for seed in seeds
        ]
        stacked = torch.func.stack_module_state(nets) if len(nets) > 1 else None
        # After the stacking, which needs all networks on one device.
        self.network = nets[0].to(device.torch_device)
        self.parameters: dict[str, Tensor]
        self.buffers: dict[str, Tensor]
        if stacked is None:
            self.parameters = dict(self.network.named_parameters())
            self.buffers = dict(self.network.named_buffers())
        else:
            self.parameters, self.buffers = (
                {name: t.detach().to(device.torch_device) for name, t in part.items()} for part in stacked
            )
            for parameter in self.parameters.values():
                parameter.requires_grad_()
        work = images * networks.activations(self.network, info.channels, size)
        self._forward = device.compiled(self.network, work)

    def logits(self, images: Tensor, *, train: bool) -> Tensor:
        """Return the logits, float32 (K, n, classes), of images (K, n, C, H, W), a batch for each network."""
        self.network.train(train)
        with self.device.autocast():
            if len(self.seeds) == 1:
                return self._forward(images[0]).float().unsqueeze(0)
            call = torch.func.vmap(self._call, randomness="error")
            return call(self.parameters, self.buffers, images).float()

    def _call(self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        return torch.func.functional_call(self.network, (parameters, buffers), (images,))

    def state(self) -> dict[str, Tensor]:
        """Return parameters and buffers under the names of the module, each (K, ...) where K > 1."""
        return self.parameters | self.buffers

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Set parameters and buffers to what :meth:`state` returned."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])


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


@torch.no_grad()
def accuracies(stacked: StackedNetworks, split: Split) -> list[float]:
    """Return each network's top-1 accuracy on a split, in percent.

    Batches all have one shape (the last is filled up with repetitions, which are not counted), so that a
    compiled network is compiled once.
    """
    device = stacked.device.torch_device
    correct = torch.zeros(len(stacked.seeds), dtype=torch.int64, device=device)
    labels = torch.as_tensor(split.labels).to(device)
    for rows in torch.arange(len(split)).split(TEST_BATCH):
        filled = rows[torch.arange(TEST_BATCH) % len(rows)] if len(split) > TEST_BATCH else rows
        images = split.batch(filled, device)
        logits = stacked.logits(images.expand(len(stacked.seeds), *images.shape), train=False)
        correct += (logits.argmax(-1)[:, : len(rows)] == labels[rows.to(device)]).sum(1)
    return [100 * count / len(split) for count in correct.tolist()]


class _Finished:
    """The outcomes of the networks that have been trained and tested."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def state(self) -> dict[str, Tensor]:
        rows = [astuple(outcome) for outcome in self.outcomes]
        return {"outcomes": torch.tensor(rows, dtype=torch.float64)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.outcomes = [Outcome(int(seed), *figures) for seed, *figures in state["outcomes"].tolist()]


def evaluate(
    network: str,
    samples: Samples,
    test: Split,
    recipe: Recipe,
    seeds: Sequence[int],
    device: Device,
    *,
    run: Run = UNATTENDED,
) -> list[Outcome]:
    """Train a fresh network for every seed and test it after its last epoch.

    Args:
        network: name of the evaluation network.
        samples: what to train on.
        test: the split to test on.
        recipe: how to train.
        seeds: one per network.
        device: where to compute; it determines which networks are trained at once.
        run: where to save finished outcomes and the training under way, and to resume from: in the end its
            checkpoint holds all outcomes; and who is shown the epochs done, over all networks.

    Returns:
        One outcome per seed. Networks that were trained at once share their time equally.
    """
    finished = _Finished()
    whole = run.carrying({"finished": finished})
    whole.resume()
    ready = {outcome.network_seed for outcome in finished.outcomes}
    left = [seed for seed in seeds if seed not in ready]
    for group in stacking.groups(network, test.info, min(recipe.batch, len(samples)), left, device):
        stacked = StackedNetworks(
            network, test.info, group, device, images=len(samples) * recipe.epochs_run + len(test)
        )
        count, clock = len(group), Stopwatch().start()
        # On another device, other networks may have been trained at once: their state is not resumed.
        stage = whole.carrying({f"clock of {' '.join(map(str, group))}": clock})
        train(stacked, samples, recipe, run=stage.counting(len(finished.outcomes) * recipe.epochs_run, count))
        trained = clock.stop()
        started = time.perf_counter()
        scores = accuracies(stacked, test)
        tested = time.perf_counter() - started
        for seed, score in zip(group, scores, strict=True):
            finished.outcomes.append(Outcome(seed, score, trained / count, tested / count))
        whole.save(0)
    return finished.outcomes
