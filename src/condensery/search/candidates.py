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
    """Return the seeds of a network's repeats; none starts alike on a proxy and on the whole set."""
    first = WHOLE_SEEDS if whole else 0
    return range(first, first + repeats)


@dataclass(frozen=True)
class EarlyStopping(Recipe):
    """The recipe of the proxies on the whole set: as many steps, at the same learning rates (DM section 3.6).

    An epoch takes as many batches as on a proxy, all of them full; the epochs follow one another through
    permutations of the whole set.

    Attributes:
        proxy_images: images of a proxy.
    """

    proxy_images: int

    def order(self, count: int, seed: int, epoch: int) -> Tensor:
        """Return the images that a network sees in an epoch: int64, (n,), some of the ``count``."""
        size = -(-self.proxy_images // self.batch) * self.batch
        start, stop = epoch * size, (epoch + 1) * size
        rounds = range(start // count, (stop - 1) // count + 1)
        drawn = torch.cat([super(EarlyStopping, self).order(count, seed, each) for each in rounds])
        return drawn[start - rounds[0] * count :][:size]


def steps(samples: Samples, recipe: Recipe) -> int:
    """Return the number of batches that a network is trained on."""
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

    The repeats of a network have one shape; they are trained at once where the device does so and its memory
    allows. Nothing is compiled: every network would need a compilation of its own, for few steps.

    Args:
        names: the networks.
        samples: the training images.
        test: the split to test on: the validation images.
        recipe: how to train.
        seeds: one per repeat.
        device: where to compute.
        others: further splits to test on.
        run: where to save finished networks and the training under way, and to resume from; and who is
            shown the epochs done, over all networks and repeats. A network may diverge.

    Returns:
        One list per network, with an outcome for each seed.
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
        names: the networks.
        outcomes: a list for each, with an outcome for each repeat.
        measured: which accuracies an outcome has, in their order: ``validation_accuracy``, ``test_accuracy``,
            or both; another is empty.
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
