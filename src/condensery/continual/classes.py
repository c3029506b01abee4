"""Class-incremental learning: after every step, new networks learn all classes seen so far from the memory.

Source: DM section 3.5, after GDumb (Prabhu, Torr and Dokania 2020). The images that a step condenses or
selects stay in the memory; the training images of earlier steps are no longer available.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from condensery.data import RealData
from condensery.data.views import of_classes
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import Evaluation, Outcome, evaluate_each
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples

SEEDS_PER_STEP = 1000
"""Networks that a step may train: those of different steps and orders have different seeds."""


def network_seeds(order: int, steps: int, step: int, networks: int) -> range:
    """Return the seeds of the networks of one step of one order of the classes.

    Args:
        order: number of the order, from 0.
        steps: steps of every order.
        step: number of the step, from 0.
        networks: the number of networks that the step trains, at most `SEEDS_PER_STEP`.
    """
    first = (order * steps + step) * SEEDS_PER_STEP
    return range(first, first + networks)


@dataclass(frozen=True)
class Step:
    """The training after one step.

    Attributes:
        classes: the classes seen so far.
        memory: the images of these classes in the memory.
        seeds: one per network.
    """

    classes: tuple[int, ...]
    memory: SyntheticSet
    seeds: range


def learn(
    data: RealData,
    steps: Sequence[Step],
    network: str,
    recipe: Recipe,
    device: Device,
    *,
    run: Run = UNATTENDED,
) -> list[list[Outcome]]:
    """Train new networks after every step on the memory alone, and test them.

    They are tested on all test images of the classes seen. At every step their classifiers have an output for
    every class of the data set.

    Args:
        data: the real data; only its test split is used.
        steps: the steps, in their order.
        network: name of the network.
        recipe: how it is trained.
        device: where to compute.
        run: the checkpoint saves the outcomes and the current training; the progress counts the epochs of all
            networks of all steps.

    Returns:
        The outcomes of the networks of each step.

    Raises:
        CondenseryError: a class or the network is unknown.
    """
    evaluations = [
        Evaluation(
            network, Samples.of_set(each.memory, device), of_classes(data, each.classes).test, each.seeds
        )
        for each in steps
    ]
    return evaluate_each(evaluations, recipe, device, run=run)
