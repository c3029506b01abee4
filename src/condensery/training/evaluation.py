"""Train networks on a set of images, and test them after the last epoch; no epoch is selected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from condensery.data import Split
from condensery.errors import CondenseryError
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run, Stopwatch
from condensery.training import ridge, stacking
from condensery.training.loop import train
from condensery.training.recipes import Recipe, RidgeRecipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks

TEST_BATCH = 500

SEEDS_PER_SET = 1000
"""Networks that may be trained on a set: those of different sets have different seeds."""


def network_seeds(set_seed: int, networks: int) -> range:
    """Return the seeds of the networks that are trained on a set.

    Args:
        set_seed: the seed of the set.
        networks: number of networks, 1 to :data:`SEEDS_PER_SET`.

    Raises:
        CondenseryError: the number is out of range.
    """
    if not 0 < networks <= SEEDS_PER_SET:
        raise CondenseryError(f"--networks {networks} is out of range: give 1 to {SEEDS_PER_SET}")
    return range(set_seed * SEEDS_PER_SET, set_seed * SEEDS_PER_SET + networks)


@dataclass(frozen=True)
class Outcome:
    """The result of one trained network.

    Attributes:
        network_seed: seed of the network.
        accuracy: top-1 accuracy on the test split, in percent.
        train_seconds: time of the training.
        test_seconds: time of all tests.
        others: accuracies on further splits, in percent.
    """

    network_seed: int
    accuracy: float
    train_seconds: float
    test_seconds: float
    others: tuple[float, ...] = ()

    def columns(self) -> dict[str, int | float]:
        """Return its columns of a result row: all attributes except the accuracies on further splits."""
        return {name: value for name, value in vars(self).items() if name != "others"}


@torch.no_grad()
def accuracies(stacked: StackedNetworks, split: Split) -> list[float]:
    """Return each network's top-1 accuracy on a split, in percent.

    All batches have one shape, so that the network is compiled only once: the last batch is padded with
    repetitions, which are not counted.
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


class Examiner(Protocol):
    """Additional tests of networks. It keeps the results itself; as a part of the run, it saves them."""

    def look(self, stacked: StackedNetworks, test: Split, epochs: int) -> None:
        """Test networks during their training.

        Args:
            stacked: the networks.
            test: the test split.
            epochs: number of epochs that they have been trained for.
        """
        ...

    def examine(self, stacked: StackedNetworks, test: Split) -> None:
        """Test networks after their last epoch."""
        ...


class _Finished:
    """The outcomes of the networks that have been trained and tested, in the order of their training."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def state(self) -> dict[str, Tensor]:
        rows = [(*figures, *others) for *figures, others in map(astuple, self.outcomes)]
        return {"outcomes": torch.tensor(rows, dtype=torch.float64)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.outcomes = [
            Outcome(int(seed), accuracy, trained, tested, tuple(others))
            for seed, accuracy, trained, tested, *others in state["outcomes"].tolist()
        ]


def evaluate(
    network: str,
    samples: Samples,
    test: Split,
    recipe: Recipe,
    seeds: Sequence[int],
    device: Device,
    *,
    others: Sequence[Split] = (),
    run: Run = UNATTENDED,
    examiner: Examiner | None = None,
) -> list[Outcome]:
    """Train a fresh network for every seed and test it after its last epoch.

    Args:
        network: name of the evaluation network.
        samples: the training images.
        test: the split to test on.
        recipe: how to train.
        seeds: one per network.
        device: where to compute; it determines which networks are trained together.
        others: further splits to test on.
        run: the checkpoint saves finished outcomes, in the end all of them, and the current training; the
            progress counts the epochs of all networks. Nothing is saved for a :class:`RidgeRecipe`, which
            takes seconds and trains no network.
        examiner: additional tests during and after the training.

    Returns:
        One outcome per seed. The time of networks that are trained together is divided evenly among them.
    """
    if isinstance(recipe, RidgeRecipe):
        return _regressed(samples, (test, *others), seeds, device)
    finished = _Finished()
    whole = run.resumed({"finished": finished})
    ready = {outcome.network_seed for outcome in finished.outcomes}
    left = [seed for seed in seeds if seed not in ready]
    for group in stacking.groups(network, test.info, min(recipe.batch, len(samples)), left, device):
        stacked = StackedNetworks(
            network, test.info, group, device, images=len(samples) * recipe.epochs_run + len(test)
        )
        count, clock = len(group), Stopwatch().start()
        # Another device may train other networks together. The names hold the seeds: their state is not
        # resumed.
        stage = whole.carrying({f"clock of {' '.join(map(str, group))}": clock})
        look = partial(examiner.look, stacked, test) if examiner else None
        stage = stage.counting(len(finished.outcomes) * recipe.epochs_run, count)
        train(stacked, samples, recipe, run=stage, on_epoch=look)
        trained = clock.stop()
        started = time.perf_counter()
        scores = zip(*(accuracies(stacked, split) for split in (test, *others)), strict=True)
        found = [*zip(group, scores, strict=True)]
        tested = time.perf_counter() - started
        if examiner:
            examiner.examine(stacked, test)
        for seed, (score, *more) in found:
            finished.outcomes.append(Outcome(seed, score, trained / count, tested / count, tuple(more)))
        whole.save(0)
    return finished.outcomes


def _regressed(
    samples: Samples, tests: Sequence[Split], seeds: Sequence[int], device: Device
) -> list[Outcome]:
    """Return the outcome of kernel ridge regression, which is the same for every seed."""
    started = time.perf_counter()
    support = ridge.fit(samples, len(tests[0].info.classes), device)
    fitted = time.perf_counter()
    accuracy, *others = [support.accuracy(split) for split in tests]
    ended, count = time.perf_counter(), len(seeds)
    trained, tested = (fitted - started) / count, (ended - fitted) / count
    return [Outcome(seed, accuracy, trained, tested, tuple(others)) for seed in seeds]


@dataclass(frozen=True)
class Evaluation:
    """The arguments of :func:`evaluate` that differ between evaluations."""

    network: str
    samples: Samples
    test: Split
    seeds: Sequence[int]
    others: Sequence[Split] = ()


def evaluate_each(
    evaluations: Sequence[Evaluation],
    recipe: Recipe,
    device: Device,
    *,
    run: Run = UNATTENDED,
    examiner: Examiner | None = None,
) -> list[list[Outcome]]:
    """Carry out evaluations one after the other.

    Args:
        evaluations: the evaluations, in their order.
        recipe: how all networks are trained.
        device: where to compute.
        run: the checkpoint saves the outcomes and the current training; the progress counts the epochs of the
            networks of all evaluations.
        examiner: see :func:`evaluate`.

    Returns:
        The outcomes of each evaluation, see :func:`evaluate`.
    """
    ended, first = _Finished(), 0
    whole = run.resumed({"ended": ended})
    outcomes = []
    for each in evaluations:
        last = first + len(each.seeds)
        if len(ended.outcomes) < last:
            stage = whole.counting(first * recipe.epochs_run)
            ended.outcomes += evaluate(
                *(each.network, each.samples, each.test, recipe, each.seeds, device),
                others=each.others,
                run=stage,
                examiner=examiner,
            )
            whole.save(0)
        outcomes.append(ended.outcomes[first:last])
        first = last
    return outcomes
