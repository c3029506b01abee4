"""The work of the jobs of continual learning."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from condensery.cost.condensing_work import condensing
from condensery.cost.work import FORWARD, TEST_SHARE, TRAINING, Work, training, training_images
from condensery.cost.work import multiply_adds as of_image
from condensery.experiment import Config
from condensery.experiment.memories import JOIN, RECIPE, SEQUENCE_RECIPE, MemoryId, Step, networks, step_of


def features(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of training the network that a step's selection looks through."""
    step = _step(config, w)
    return training(config, step.dataset, "features", w["network"]).part(_share(config, step))


def memory(config: Config, w: Mapping[str, Any]) -> Work | None:
    """Return the work of making what a step adds to the memory, where that is known."""
    step = _step(config, w)
    whole = condensing(config, step.dataset, w["method"], w["network"], int(w["ipc"]))
    return whole.part(_share(config, step)) if whole else None


def accuracy(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of training and testing the networks of a memory after all of its steps."""
    made = MemoryId(w["tasks"], int(w["steps"]), w["method"], w["network"], int(w["ipc"]), int(w["order"]))
    parts = _sequence(config, made) if JOIN in made.tasks else _classes(config, made)
    count = networks(config, made)
    return Work("training", sum(p.steps for p in parts), count * sum(p.multiply_adds for p in parts))


def _classes(config: Config, made: MemoryId) -> list[Work]:
    """Return the work of one network after each step: the memory and the test images grow with the steps."""
    recipe = config.recipe(RECIPE, made.tasks, made.ipc, made.network)
    epochs, tested = recipe["epochs"] + 1, TEST_SHARE * training_images(config, made.tasks)
    image = of_image(config, made.tasks, made.network)
    parts = []
    for number in range(1, made.steps + 1):
        share = number / made.steps
        images = share * made.ipc * config.class_count(made.tasks)
        epochs_run = TRAINING * epochs * images + FORWARD * share * tested
        parts.append(Work("training", epochs * math.ceil(images / recipe["batch"]), epochs_run * image))
    return parts


def _sequence(config: Config, made: MemoryId) -> list[Work]:
    """Return the work of one network on each data set, twice but for the first; images in one shape."""
    parts = []
    for number, dataset in enumerate(made.tasks.split(JOIN)):
        step = step_of(config, made.tasks, made.steps, made.order, number)
        once = training(config, dataset, SEQUENCE_RECIPE, made.network).part(_share(config, step))
        parts += [once] * (2 if number else 1)
    return parts


def _step(config: Config, w: Mapping[str, Any]) -> Step:
    return step_of(config, w["tasks"], int(w["steps"]), int(w["order"]), int(w["step"]))


def _share(config: Config, step: Step) -> float:
    """Return a step's part of the work on the whole data set: its classes, and the pixels of its shape."""
    entry = config.dataset(step.dataset)
    classes = len(step.classes) / config.class_count(step.dataset) if step.classes else 1
    return classes * (math.prod(step.shape[1:]) / math.prod(entry["size"]) if step.shape else 1)
