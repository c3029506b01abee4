"""Targets of trajectories: the sets whose condensation is followed, and when they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError
from condensery.experiment.targets import SetId, sets_of

if TYPE_CHECKING:
    from condensery.experiment.config import Config

TARGET = "figure4"

RECIPE = "dsa"
"""How networks are trained on every snapshot, whatever the method that it is of."""


def trajectories(config: Config) -> dict[SetId, list[int]]:
    """Return the sets that are followed and after which iterations a snapshot of each is taken.

    A set that several blocks name has the snapshots of all of them. There are none without the target.
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
    """Return after which iterations to look: after all, half, a quarter ... of them, rounded up.

    On a logarithmic axis of time they lie evenly. There are fewer than ``count`` where there are not enough
    iterations to halve.
    """
    return sorted({-(-iterations // 2**halvings) for halvings in range(count)})
