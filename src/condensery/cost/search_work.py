"""The work of the jobs of the architecture search. The networks of a job count as average ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from itertools import product
from typing import Any

from condensery.cost.work import FORWARD, TRAINING, Work, epochs_of, training_images
from condensery.cost.work import multiply_adds as of_image
from condensery.experiment import Config
from condensery.experiment.targets import WHOLE


def search(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of one job's networks on a proxy, or on the whole set."""
    return _training(
        config, w["dataset"], config.required_search().networks_per_job, whole=w["candidate"] == WHOLE
    )


def test(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of training and testing the chosen networks, if every proxy chooses another."""
    return _training(config, w["dataset"], len(config.required_search().candidates), whole=True)


def _training(config: Config, dataset: str, networks: int, *, whole: bool) -> Work:
    plan = config.required_search()
    known = training_images(config, dataset)
    validated = plan.validation * known
    if whole:
        recipe = config.recipe("search_whole", dataset)
        images = min(known - validated, plan.training_images or known)
    else:
        recipe = config.recipe("search", dataset, plan.ipc)
        images = plan.ipc * config.class_count(dataset)
    epochs, count = epochs_of(recipe), networks * plan.repeats
    steps = epochs * math.ceil(images / recipe["batch"])
    epochs_run = TRAINING * epochs * images + FORWARD * validated
    return Work("training", count * steps, count * epochs_run * _average(config, dataset))


def _average(config: Config, dataset: str) -> float:
    """Return the multiply-adds of an image in the networks of the search, on which norms have no effect."""
    names = product((1, 2, 3, 4), config.required_search().widths, ("avg", "max", "nopool"))
    return statistics.mean(of_image(config, dataset, f"convnet-d{d}-w{w}-{pool}") for d, w, pool in names)
