"""Class-incremental learning: after every step new networks learn all classes seen so far from the memory.

Source: DM section 3.5, after GDumb (Prabhu, Torr and Dokania 2020). The images that a step condenses or
selects stay in the memory; the training images of earlier steps are no longer available.
"""

from __future__ import annotations

from condensery.data import RealData
from condensery.data.views import of_classes
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Run
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import Outcome, evaluate
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples

SEEDS_PER_STEP = 1000
"""Networks that a step may train: those of different steps and orders have different seeds."""


def network_seeds(order: int, steps: int, step: int, networks: int) -> range:
    """Return the seeds of the networks of one step of one order."""
    first = (order * steps + step) * SEEDS_PER_STEP
    return range(first, first + networks)


def evaluate_step(
    data: RealData,
    classes: tuple[int, ...],
    memory: SyntheticSet,
    network: str,
    recipe: Recipe,
    seeds: range,
    device: Device,
    *,
    run: Run = UNATTENDED,
) -> list[Outcome]:
    """Train new networks on the memory alone and test them on all test images of the classes seen.

    Their heads have all classes of the data set, at every step.

    Args:
        data: the real data; only its test split is used.
        classes: the classes seen so far.
        memory: their images.
        network: name of the network.
        recipe: how it is trained.
        seeds: one per network.
        device: where to compute.
        run: where to save the current training and to resume from, and who is shown the epochs done, over
            all networks.

    Raises:
        CondenseryError: a class or the network is unknown.
    """
    return evaluate(
        network,
        Samples.of_set(memory, device),
        of_classes(data, classes).test,
        recipe,
        seeds,
        device,
        run=run,
    )
