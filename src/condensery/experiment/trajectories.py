"""Targets of trajectories: the sets that are followed, and the iterations of their snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.targets import SetId, sets_of

if TYPE_CHECKING:
    from condensery.experiment.config import Config

TARGET = "figure4"

RECIPE = "dsa"
"""The recipe of networks that train on snapshots, for every method."""


def trajectories(config: Config) -> dict[SetId, list[int]]:
    """Return the sets that are followed and after which iterations a snapshot of each is taken.

    A set that several blocks name has the snapshots of all of them. The result is empty without the target.
    """
    found: dict[SetId, set[int]] = {}
    for block in config.spec["targets"].get(TARGET, []):
        networks = {dataset: config.network(dataset) for dataset in block["datasets"]}
        for each in sets_of(block, networks, config.spec["sets"]):
            parameters = config.parameters(each.dataset, each.method, each.network, each.ipc)
            found.setdefault(each, set()).update(snapshots(parameters["iterations"], block["snapshots"]))
    return {each: sorted(steps) for each, steps in found.items()}


def steps_of(config: Config, coordinates: Mapping[str, Any]) -> list[int]:
    """Return after which iterations a snapshot of a set is taken.

    Args:
        config: the configuration.
        coordinates: ``dataset``, ``method``, ``network``, ``ipc`` and ``seed``; the numbers may be texts.

    Raises:
        CondenseryError: the set is not followed under the protocol.
    """
    kinds = {"ipc": int, "seed": int}
    followed = SetId(*(kinds.get(name, str)(coordinates[name]) for name in SetId._fields))
    steps = trajectories(config).get(followed)
    if steps is None:
        raise CondenseryError(
            f"protocols/{config.protocol}.yaml: {TARGET} does not follow {'/'.join(map(str, followed))}; "
            "add it there"
        )
    return steps


def snapshots(iterations: int, count: int) -> list[int]:
    """Return the iterations of the snapshots: all of them, half, a quarter and so on, rounded up.

    They are spaced evenly on a logarithmic axis. There are fewer than ``count`` if there are not enough
    iterations to halve.
    """
    return sorted({-(-iterations // 2**halvings) for halvings in range(count)})
