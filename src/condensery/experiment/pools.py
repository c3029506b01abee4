"""What a protocol says of a pool of trained networks, and which sets are condensed with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.reading import place
from condensery.experiment.targets import SetId, parts
from condensery.pool.groups import RANDOM

if TYPE_CHECKING:
    from condensery.experiment.config import Config

RECIPE = "pool"
"""How the networks of a pool are trained."""


@dataclass(frozen=True)
class PoolPlan:
    """A pool of each data set and network that needs one: the key ``pool`` of a protocol.

    Attributes:
        networks: how many networks are trained.
        networks_per_job: how many of them one job trains.
        states: how many states of each are stored.
        validation: how much of the training images is held out to measure the accuracy of a state.
        seed: of the validation images.
        training_images: how many of the others the networks are trained on; all if None.
    """

    networks: int
    networks_per_job: int
    states: int
    validation: float
    seed: int
    training_images: int | None = None

    @property
    def split(self) -> dict[str, Any]:
        """What decides which images the networks are trained on, and which they are grouped by."""
        return {key: getattr(self, key) for key in ("validation", "training_images", "seed")}

    def parts(self) -> list[str]:
        """Return the name of each job's part of the networks, such as ``3-of-50``."""
        return parts(self.networks, self.networks_per_job)


def moments(steps: int, states: int) -> list[int]:
    """Return after how many steps to take the states of a network: after one, after all, and between.

    They are even on a logarithmic axis, as is, roughly, the accuracy of a network, so that states of all
    accuracies are taken. There are fewer than ``states`` where there are not enough steps.
    """
    return sorted({round(steps ** (1 - number / max(1, states - 1))) for number in range(states)})


def draws_from_pool(config: Config, s: SetId) -> bool:
    """Say whether a set is condensed with networks of a pool: by its parameter ``network_group``."""
    values = config.parameters(s.dataset, s.method, s.network, s.ipc)
    return values.get("network_group", RANDOM) != RANDOM


def check_targets(config: Config, file: Path) -> None:
    """Check that there is a pool where sets are condensed with one.

    Raises:
        CondenseryError: the first method that would lack it.
    """
    if config.pool:
        return
    for target in config.spec["targets"]:
        for each in config.target_sets(target):
            if draws_from_pool(config, each):
                where = place(("targets", target))
                raise CondenseryError(
                    f"{file}: {where}: {each.method} draws from a pool of networks; add the key 'pool' to "
                    "the protocol, or take another method"
                )
