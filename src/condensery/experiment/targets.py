"""The coordinates of a target's synthetic sets, and of the networks trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

WHOLE = "whole"


class SetId(NamedTuple):
    """The coordinates of one synthetic set; seeds count from 0."""

    dataset: str
    method: str
    network: str
    ipc: int
    seed: int


class Evaluation(NamedTuple):
    """The coordinates of the networks trained on one synthetic set with one recipe."""

    set: SetId
    recipe: str
    network: str


class WholeEvaluation(NamedTuple):
    """The coordinates of one network trained on the whole training set."""

    dataset: str
    recipe: str
    network: str
    seed: int


def parts(count: int, per_job: int) -> list[str]:
    """Return the names of the parts of ``count`` networks, ``per_job`` in each, such as ``3-of-30``."""
    jobs = -(-count // per_job)
    return [f"{number}-of-{jobs}" for number in range(1, jobs + 1)]


def sets_of(block: Mapping[str, Any], default: Mapping[str, str], sets: int) -> Iterator[SetId]:
    """Yield every set of a block of a protocol's target.

    Args:
        block: a mapping with ``datasets``, ``methods``, ``ipc`` and, optionally, ``networks`` and ``sets``.
        default: data set -> its condensing network if the block names none.
        sets: number of independent sets per cell if the block does not give it.
    """
    seeds = range(block.get("sets", sets))
    methods = [method for method in block["methods"] if method != WHOLE]
    for dataset, method in product(block["datasets"], methods):
        for network, ipc, seed in product(block.get("networks", [default[dataset]]), block["ipc"], seeds):
            yield SetId(dataset, method, network, ipc, seed)


def whole_evaluations_of(
    block: Mapping[str, Any], default: Mapping[str, str], count: int
) -> Iterator[WholeEvaluation]:
    """Yield the trainings on whole data sets of a block, if it lists ``whole`` as a method.

    Args:
        block: a mapping with ``datasets``, ``methods`` and, optionally, ``evaluate``, ``networks`` and
            ``whole_recipes``.
        default: data set -> its network if the block names none.
        count: number of trainings per evaluation network and recipe; their seeds are 0 to ``count`` - 1.
    """
    if WHOLE in block["methods"]:
        recipes = block.get("whole_recipes", [WHOLE])
        for dataset in block["datasets"]:
            networks = block.get("evaluate") or block.get("networks") or [default[dataset]]
            for recipe, network, seed in product(recipes, networks, range(count)):
                yield WholeEvaluation(dataset, recipe, network, seed)
