"""Targets of trajectories: their sets, and the iterations of the snapshots of each set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.catalog import of_kind
from condensery.experiment.target_kinds import Trajectories
from condensery.experiment.targets import SetId, sets_of

if TYPE_CHECKING:
    from condensery.experiment.config import Config

RECIPE = "dsa"
"""The recipe of networks that train on snapshots, for every method."""


def trajectories(config: Config, *targets: str) -> dict[SetId, list[int]]:
    """Return the sets of trajectories: set -> the iterations after which a snapshot of it is taken.

    If several blocks list a set, it has the snapshots of all of them.

    Args:
        config: the configuration.
        targets: names of targets of trajectories.

    Raises:
        CondenseryError: the protocol does not list a target.
    """
    found: dict[SetId, set[int]] = {}
    for block in (block for target in targets for block in config.blocks(target)):
        networks = {dataset: config.network(dataset) for dataset in block["datasets"]}
        for each in sets_of(block, networks, config.spec["sets"]):
            found.setdefault(each, set()).update(snapshots(iterations(config, each), block["snapshots"]))
    return {each: sorted(steps) for each, steps in found.items()}


def steps_of(config: Config, coordinates: Mapping[str, Any]) -> list[int]:
    """Return the iterations after which a snapshot of a set is taken.

    Args:
        config: the configuration.
        coordinates: ``dataset``, ``method``, ``network``, ``ipc`` and ``seed``; the numbers may be texts.

    Raises:
        CondenseryError: no trajectory of the protocol contains the set.
    """
    dataset, method, network = (str(coordinates[name]) for name in ("dataset", "method", "network"))
    followed = SetId(dataset, method, network, int(coordinates["ipc"]), int(coordinates["seed"]))
    steps = trajectories(config, *config.listed(Trajectories)).get(followed)
    if steps is None:
        raise CondenseryError(
            f"protocols/{config.protocol}.yaml: no target follows {'/'.join(map(str, followed))}; add it to "
            f"one of {', '.join(of_kind(Trajectories))}"
        )
    return steps


def iterations(config: Config, followed: SetId) -> int:
    """Return the number of iterations with which the method makes a set."""
    dataset, method, network, ipc, _ = followed
    number: int = config.parameters(dataset, method, network, ipc)["iterations"]
    return number


def snapshots(iterations: int, wanted: int | Sequence[int]) -> list[int]:
    """Return the iterations of the snapshots, ascending.

    Args:
        iterations: number of iterations of the method.
        wanted: the iterations themselves, or the number of snapshots: then they are all iterations, half, a
            quarter and so on, rounded up, which are evenly spaced on a logarithmic axis. There are fewer if
            there are too few iterations to halve.
    """
    if isinstance(wanted, int):
        return sorted({-(-iterations // 2**halvings) for halvings in range(wanted)})
    return list(wanted)
