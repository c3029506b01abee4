"""The target that maps synthetic images among real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from condensery.errors import CondenseryError
from condensery.experiment.reading import place
from condensery.experiment.targets import SetId, sets_of

if TYPE_CHECKING:
    from condensery.experiment.config import Config

TARGET = "figure3"

SEED = 0
"""Of the sets, and of the network that looks at them."""


class Embedding(NamedTuple):
    """A map: whose images, seen by which network, and how many of them."""

    dataset: str
    network: str
    sets: tuple[SetId, ...]
    classes: int
    real_images: int


def embedding(config: Config) -> Embedding | None:
    """Return the map that the protocol lists, if it does: of each method and size the set of seed 0."""
    if TARGET not in config.spec["targets"]:
        return None
    (block,) = config.spec["targets"][TARGET]
    (dataset,) = block["datasets"]
    network = block.get("networks", [config.network(dataset)])[0]
    sets = tuple(sets_of({**block, "sets": SEED + 1}, {dataset: network}, 1))
    return Embedding(dataset, network, sets, block["classes"], block["real_images"])


def check_target(config: Config, file: Path) -> None:
    """Check what the schema cannot: that the data set has as many classes.

    Raises:
        CondenseryError: it has fewer.
    """
    wanted = embedding(config)
    if wanted is None:
        return
    known = config.class_count(wanted.dataset)
    if wanted.classes > known:
        where = place(("targets", TARGET, 0, "classes"))
        raise CondenseryError(f"{file}: {where}: {wanted.dataset} has {known} classes; give {known} or less")
