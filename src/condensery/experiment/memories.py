"""Targets of continual learning: the memories that they compare, and the data of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from condensery.errors import CondenseryError
from condensery.experiment.orders import step_classes
from condensery.experiment.schemas import unknown
from condensery.experiment.targets import SetId

if TYPE_CHECKING:
    from condensery.experiment.config import Config

RECIPE = "dsa"
"""The recipe of networks that train on a memory alone, for every method (DM section 3.5)."""

SEQUENCE_RECIPE = "sequence"
"""The recipe of a network that learns one data set after another with all their images, for each of them."""

JOIN = "+"
"""The separator of data sets in the name of a sequence."""


class MemoryId(NamedTuple):
    """One memory, which grows step by step, with the networks trained on it.

    ``tasks`` is the name of a data set whose classes come in ``steps`` groups, or the joined names of a
    sequence. ``order`` is the seed of the order of the classes, of the images in the memory, and of the
    networks.
    """

    tasks: str
    steps: int
    method: str
    network: str
    ipc: int
    order: int


class Step(NamedTuple):
    """The data of a step: a data set, some of its classes (or all), and a shape (or that of the images)."""

    dataset: str
    classes: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()


def memories(config: Config, target: str) -> list[MemoryId]:
    """Return the memories of a target.

    Raises:
        CondenseryError: the protocol does not list the target.
    """
    targets = config.spec.get("continual", {})
    if target not in targets:
        raise CondenseryError(f"protocols/{config.protocol}.yaml: {unknown('target', target, targets)}")
    entry = targets[target]
    names = datasets_of(entry)
    pairs = product(entry["methods"], range(entry["orders"]))
    return [
        MemoryId(JOIN.join(names), _steps(entry), method, config.network(names[0]), entry["ipc"], order)
        for method, order in pairs
    ]


def networks(config: Config, memory: MemoryId) -> int:
    """Return the number of networks trained on a memory, from the first target that lists it."""
    for target, entry in config.spec.get("continual", {}).items():
        if memory in memories(config, target):
            return entry["networks"]
    return config.spec["networks"]


def step_of(config: Config, tasks: str, steps: int, order: int, number: int) -> Step:
    """Return the data of a step.

    Args:
        config: the configuration.
        tasks: as in :class:`MemoryId`.
        steps: likewise.
        order: likewise.
        number: index of the step, from 0.

    Raises:
        CondenseryError: the data set is unknown, or its classes cannot be split evenly.
    """
    names = tasks.split(JOIN)
    if len(names) == 1:
        groups = step_classes(order, config.class_count(names[0]), steps)
        return Step(names[0], classes=groups[number])
    shape = common_shape(config, names)
    same = shape == _shape(config.dataset(names[number]))
    return Step(names[number], shape=() if same else shape)


def set_with(config: Config, memory: MemoryId, number: int) -> SetId | None:
    """Return the set of a whole data set from which the images of a step can be taken, or None.

    It exists if the classes are condensed independently of each other, as DM section 3.5 states for DM and
    random selection, and if the step does not change the shape of the images.

    Args:
        config: the configuration.
        memory: the memory.
        number: index of the step, from 0.

    Raises:
        CondenseryError: a name is unknown, or the classes cannot be split evenly.
    """
    step = step_of(config, memory.tasks, memory.steps, memory.order, number)
    alone = config.independent(memory.method, memory.network)
    alone = alone and not config.needs(memory.method)
    if step.shape or (step.classes and not alone):
        return None
    return SetId(step.dataset, memory.method, memory.network, memory.ipc, memory.order)


def common_shape(config: Config, names: Sequence[str]) -> tuple[int, ...]:
    """Return the common shape of all data sets: the largest number of channels, rows and columns."""
    return tuple(max(sides) for sides in zip(*(_shape(config.dataset(name)) for name in names), strict=True))


def recipes(tasks: str) -> tuple[str, ...]:
    """Return the recipes of the networks that learn some tasks, which are named as in :class:`MemoryId`."""
    return (SEQUENCE_RECIPE, RECIPE) if JOIN in tasks else (RECIPE,)


def datasets_of(entry: Mapping[str, Any]) -> list[str]:
    """Return the data sets of a target of continual learning: one, or those of a sequence."""
    return entry["datasets"] if "datasets" in entry else [entry["dataset"]]


def _steps(entry: Mapping[str, Any]) -> int:
    return entry["steps"] if "steps" in entry else len(entry["datasets"])


def _shape(entry: Mapping[str, Any]) -> tuple[int, ...]:
    return (entry["channels"], *entry["size"])
