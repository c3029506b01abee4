"""Train the networks of a search, a few at a time, so that an interrupted job loses little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from condensery.data import Split
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run
from condensery.training.evaluation import Evaluation, Outcome, evaluate_each
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples

WHOLE_SEEDS = 1000
"""First seed of the networks that are trained on the whole set; those that see proxies begin with 0."""


def seeds(repeats: int, *, whole: bool) -> range:
    """Return the seeds of a network's repeats; those for proxies and for the whole set are disjoint."""
    first = WHOLE_SEEDS if whole else 0
    return range(first, first + repeats)


@dataclass(frozen=True)
class EarlyStopping(Recipe):
    """The recipe of the proxies on the whole set, with equally many steps and equal rates (DM section 3.6).

    An epoch has as many batches as on a proxy, all of them full. Consecutive epochs go through consecutive
    parts of random permutations of the whole set.

    Attributes:
        proxy_images: number of images of a proxy.
    """

    proxy_images: int

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """Return the indices of the images of an epoch, int64 (n,), in the order of the batches.

        Args:
            count: number of images of the whole set.
            seed: seed of the network.
            epoch: zero-based index of the epoch.
        """
        size = -(-self.proxy_images // self.batch) * self.batch
        start, stop = epoch * size, (epoch + 1) * size
        rounds = range(start // count, (stop - 1) // count + 1)
        drawn = torch.cat([super(EarlyStopping, self).order(count, seed, each) for each in rounds])
        return drawn[start - rounds[0] * count :][:size]


def steps(samples: Samples, recipe: Recipe) -> int:
    """Return the number of batches on which a network is trained."""
    return recipe.epochs_run * -(-len(recipe.order(len(samples), 0, 0)) // recipe.batch)


def train_all(
    names: Sequence[str],
    samples: Samples,
    test: Split,
    recipe: Recipe,
    seeds: Sequence[int],
    device: Device,
    *,
    others: Sequence[Split] = (),
    run: Run = UNATTENDED,
) -> list[list[Outcome]]:
    """Train every network once for every seed and test it after its last epoch.

    The repeats of a network have one shape, and are trained together if the device stacks networks and has
    the memory. Nothing is compiled, because every network would need its own compilation for few steps.

    Args:
        names: names of the networks.
        samples: the training images.
        test: the split for the accuracy: the validation images.
        recipe: how to train.
        seeds: one per repeat.
        device: where to compute.
        others: further splits to test on.
        run: the checkpoint saves finished networks and the current training; the progress counts the epochs
            of all networks and repeats. A network may diverge.

    Returns:
        One list per network, with one outcome per seed.
    """
    evaluations = [Evaluation(name, samples, test, seeds, others) for name in names]
    uncompiled, run = replace(device, compile=False), replace(run, may_diverge=True)
    return evaluate_each(evaluations, recipe, uncompiled, run=run)


def rows_of(
    names: Sequence[str],
    outcomes: Sequence[Sequence[Outcome]],
    measured: Sequence[str],
    common: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows of some networks.

    Args:
        names: names of the networks.
        outcomes: one list per network, with one outcome per repeat.
        measured: the names of an outcome's accuracies, in order: ``validation_accuracy``, ``test_accuracy``,
            or both; an accuracy that is not measured is empty.
        common: the columns that all rows share.
    """
    empty = {"validation_accuracy": None, "test_accuracy": None}
    return [
        {
            **common,
            **empty,
            "network": name,
            "repeat": repeat,
            "network_seed": outcome.network_seed,
            **dict(zip(measured, (outcome.accuracy, *outcome.others), strict=True)),
            "train_seconds": outcome.train_seconds,
            "test_seconds": outcome.test_seconds,
        }
        for name, each in zip(names, outcomes, strict=True)
        for repeat, outcome in enumerate(each)
    ]
