"""The settings behind a target, which are recorded and compared with those of the current protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from condensery.experiment import memories
from condensery.experiment.catalog import TARGETS
from condensery.experiment.config import Config
from condensery.experiment.memories import MemoryId
from condensery.experiment.needs import NEEDS
from condensery.experiment.target_kinds import Trajectories
from condensery.experiment.targets import WHOLE, SetId
from condensery.experiment.trajectories import RECIPE, trajectories

# Keys of an entry of datasets.yaml that do not determine the images: names, sources, and settings of methods.
_BESIDE = ("title", "sources", "augmentation", "network", "smallest_class")


def settings_of(config: Config, target: str) -> dict[str, Any]:
    """Return all values of the configuration on which the numbers of a target depend.

    Returns:
        JSON-able values: ``target``, its entry in the protocol; ``precision``; the numbers of sets and
        networks; and an entry for each data set, set and recipe, with keys such as those of `data_key`.

    Raises:
        CondenseryError: the protocol does not list the target.
    """
    section = TARGETS[target].section
    found: dict[str, Any] = {"precision": config.precision}
    found |= {name: config.spec[name] for name in ("sets", "networks", "whole_networks")}
    if section == "continual":
        found["target"] = config.spec[section][target]
        found.update(_of_memories(config, target))
    elif section == "search" and config.search:
        found["target"] = config.spec[section]
        found.update(_of_search(config))
    else:
        found["target"] = config.spec[section].get(target)
        found.update(_of_sets(config, target))
    # As JSON returns it: tuples become lists.
    return json.loads(json.dumps(found))


def as_text(settings: Mapping[str, Any]) -> str:
    """Return settings as the text of their file: JSON with sorted keys, one key per line."""
    lines = (f"{json.dumps(key)}: {json.dumps(settings[key], sort_keys=True)}" for key in sorted(settings))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read(path: Path) -> dict[str, Any]:
    """Read the settings that `as_text` wrote; return an empty mapping if the file is absent or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def agree(recorded: Iterable[Mapping[str, Any]], current: Mapping[str, Any]) -> bool:
    """Say whether every current setting was recorded with the same value by at least one target.

    Args:
        recorded: the recorded settings of some targets.
        current: the settings of the current configuration.
    """
    records = list(recorded)
    return all(any(record.get(key) == value for record in records) for key, value in current.items())


def data_key(dataset: str) -> str:
    """Return the key of a data set's entry."""
    return f"data {dataset}"


def content(config: Config, dataset: str) -> dict[str, Any]:
    """Return the values that determine the prepared images, independent of the source."""
    entry = config.dataset(dataset)
    return {key: entry[key] for key in entry if key not in _BESIDE}


def of_data(config: Config, dataset: str) -> dict[str, Any]:
    """Return the settings of a prepared data set."""
    return {data_key(dataset): content(config, dataset)}


def of_set(config: Config, dataset: str, method: str, network: str, ipc: int) -> dict[str, Any]:
    """Return the settings of a set and of the files that its method needs; they are equal for all seeds.

    Args:
        config: the configuration.
        dataset: name of the data set.
        method: name of the method.
        network: name of the condensing network.
        ipc: images per class.
    """
    values = config.parameters(dataset, method, network, ipc) | {"augmentation": config.augmentation(dataset)}
    found = of_data(config, dataset) | {f"set {dataset}/{method}/{network}/ipc{ipc}": values}
    for name in config.needs(method):
        beforehand = NEEDS[name].settings(config, SetId(dataset, method, network, ipc, 0))
        found[f"{name} {dataset}/{method}/{network}"] = beforehand
    return found


def of_training(config: Config, recipe: str, dataset: str, network: str, ipc: int) -> dict[str, Any]:
    """Return the settings with which networks are trained.

    Args:
        config: the configuration.
        recipe: name of the recipe.
        dataset: name of the data set.
        network: name of the evaluation network.
        ipc: images per class of the set; 0 is the whole data set.
    """
    values = config.recipe(recipe, dataset, ipc, network)
    return of_data(config, dataset) | {f"training {recipe}/{dataset}/{network}/ipc{ipc}": values}


def _of_sets(config: Config, target: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    # Of each cell once: its settings are those of all its seeds.
    for dataset, method, network, ipc in dict.fromkeys(each[:-1] for each in config.target_sets(target)):
        found |= of_set(config, dataset, method, network, ipc)
    trained = ((e.recipe, e.set.dataset, e.network, e.set.ipc) for e in config.target_evaluations(target))
    for recipe, dataset, network, ipc in dict.fromkeys(trained):
        found |= of_training(config, recipe, dataset, network, ipc)
    if isinstance(TARGETS[target], Trajectories):
        for dataset, _, network, ipc, _ in trajectories(config, target):
            found |= of_training(config, RECIPE, dataset, network, ipc)
    for dataset, recipe, network, _ in config.whole_evaluations(target):
        found |= of_training(config, recipe, dataset, network, 0)
    return found


def _of_memories(config: Config, target: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for memory in memories.memories(config, target):
        found |= of_memory(config, memory)
    return found


def of_memory(config: Config, memory: MemoryId) -> dict[str, Any]:
    """Return the settings of a memory of continual learning and of the networks that are trained on it."""
    names = memory.tasks.split(memories.JOIN)
    found: dict[str, Any] = {}
    for dataset in names:
        found |= of_set(config, dataset, memory.method, memory.network, memory.ipc)
        for recipe in memories.recipes(memory.tasks):
            found |= of_training(config, recipe, dataset, memory.network, memory.ipc)
    return found


def of_search(config: Config, candidate: str) -> dict[str, Any]:
    """Return the settings of the trainings of an architecture search on one of its candidates."""
    search = config.search
    if search is None:
        return {}
    network = config.network(search.dataset)
    found: dict[str, Any] = {"split": search.split}
    if set_id := search.set_of(candidate, network):
        found |= of_set(config, set_id.dataset, set_id.method, set_id.network, set_id.ipc)
    if candidate == WHOLE:
        return found | of_training(config, "search_whole", search.dataset, network, 0)
    return found | of_training(config, "search", search.dataset, network, search.ipc)


def _of_search(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for candidate in config.search.candidates if config.search else ():
        found |= of_search(config, candidate)
    return found
