"""What a target is made of: the coordinates of its synthetic sets and of the networks trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

WHOLE = "whole"


class SetId(NamedTuple):
    """One synthetic set: seeds count from 0."""

    dataset: str
    method: str
    network: str
    ipc: int
    seed: int


class Evaluation(NamedTuple):
    """The networks trained on one synthetic set with one recipe."""

    set: SetId
    recipe: str
    network: str


class WholeEvaluation(NamedTuple):
    """One network trained on the whole training set."""

    dataset: str
    recipe: str
    network: str
    seed: int


def sets_of(block: Mapping[str, Any], networks: Mapping[str, str], sets: int) -> Iterator[SetId]:
    """Yield every set of a block of a protocol's target.

    Args:
        block: its ``datasets``, ``methods``, ``ipc`` and, if it gives them, ``network`` and ``sets``.
        networks: data set -> the network that it is condensed with unless the block names one.
        sets: independent sets of a cell unless the block says how many.
    """
    seeds = range(block.get("sets", sets))
    methods = [method for method in block["methods"] if method != WHOLE]
    for dataset, method, ipc, seed in product(block["datasets"], methods, block["ipc"], seeds):
        yield SetId(dataset, method, block.get("network", networks[dataset]), ipc, seed)


def wholes_of(block: Mapping[str, Any], networks: Mapping[str, str], count: int) -> Iterator[WholeEvaluation]:
    """Yield the ``count`` trainings on each whole data set of a block that lists ``whole`` as a method."""
    if WHOLE in block["methods"]:
        for dataset, seed in product(block["datasets"], range(count)):
            yield WholeEvaluation(dataset, WHOLE, block.get("network", networks[dataset]), seed)
