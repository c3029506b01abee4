"""The work of the jobs of continual learning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from condensery.cost.condensing_work import condensing
from condensery.cost.work import FORWARD, TEST_SHARE, TRAINING, Work, epochs_of, training, training_images
from condensery.cost.work import multiply_adds as of_image
from condensery.experiment import Config
from condensery.experiment.memories import JOIN, RECIPE, SEQUENCE_RECIPE, MemoryId, Step, networks, step_of


def features(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of training the network whose features a step's selection uses."""
    step = _step(config, w)
    return training(config, step.dataset, "features", w["network"]).part(_share(config, step))


def memory(config: Config, w: Mapping[str, Any]) -> Work | None:
    """Return the work of condensing the images that a step adds to the memory, or None if it is unknown."""
    step = _step(config, w)
    whole = condensing(config, step.dataset, w["method"], w["network"], int(w["ipc"]))
    return whole.part(_share(config, step)) if whole else None


def accuracy(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of training and testing the networks of a memory after all of its steps."""
    memory = MemoryId(w["tasks"], int(w["steps"]), w["method"], w["network"], int(w["ipc"]), int(w["order"]))
    parts = _sequence(config, memory) if JOIN in memory.tasks else _classes(config, memory)
    count = networks(config, memory)
    return Work("training", sum(p.steps for p in parts), count * sum(p.multiply_adds for p in parts))


def _classes(config: Config, memory: MemoryId) -> list[Work]:
    """Return the work of one network after each step: the memory and the test images grow with the steps."""
    tested = TEST_SHARE * training_images(config, memory.tasks)
    shares = [number / memory.steps for number in range(1, memory.steps + 1)]
    images = memory.ipc * config.class_count(memory.tasks)
    return [_on_sets(config, memory, memory.tasks, share * images, share * tested) for share in shares]


def _on_sets(config: Config, memory: MemoryId, dataset: str, images: float, tested: float) -> Work:
    """Return the work of training one network on images of sets alone, and of testing it."""
    recipe = config.recipe(RECIPE, dataset, memory.ipc, memory.network)
    epochs = epochs_of(recipe)
    seen = TRAINING * epochs * images + FORWARD * tested
    image = of_image(config, dataset, memory.network)
    return Work("training", epochs * math.ceil(images / recipe["batch"]), seen * image)


def _sequence(config: Config, memory: MemoryId) -> list[Work]:
    """Return the work of one network on each data set, twice but for the first, and on the joint sets.

    Images are in one shape.
    """
    parts, tested = [], 0.0
    for number, dataset in enumerate(memory.tasks.split(JOIN)):
        step = step_of(config, memory.tasks, memory.steps, memory.order, number)
        once = training(config, dataset, SEQUENCE_RECIPE, memory.network).part(_share(config, step))
        parts += [once] * (2 if number else 1)
        tested += TEST_SHARE * training_images(config, dataset)
        images = (number + 1) * memory.ipc * config.class_count(dataset)
        parts.append(_on_sets(config, memory, dataset, images, tested).part(_share(config, step)))
    return parts


def _step(config: Config, w: Mapping[str, Any]) -> Step:
    return step_of(config, w["tasks"], int(w["steps"]), int(w["order"]), int(w["step"]))


def _share(config: Config, step: Step) -> float:
    """Return a step's part of the work on the whole data set: its classes, and the pixels of its shape."""
    entry = config.dataset(step.dataset)
    classes = len(step.classes) / config.class_count(step.dataset) if step.classes else 1
    return classes * (math.prod(step.shape[1:]) / math.prod(entry["size"]) if step.shape else 1)
