"""The work of training experts, and the disk space of their states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from condensery.cost.work import TRAINING, Work, multiply_adds, training_images, weights
from condensery.experiment import Config
from condensery.experiment.plans import EXPERT_RECIPE

BYTES = 4
"""Bytes per stored weight."""


def training(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of one job's experts."""
    dataset, network = w["dataset"], w["network"]
    recipe = config.recipe(EXPERT_RECIPE, dataset, network=network)
    epochs, images = config.expert_epochs(dataset, network), training_images(config, dataset)
    steps = epochs * math.ceil(images / recipe["batch"])
    once = TRAINING * epochs * images * multiply_adds(config, dataset, network)
    return Work("training", steps, _networks(config) * once)


def stored_bytes(config: Config, w: Mapping[str, Any]) -> float:
    """Return the bytes that one job writes."""
    dataset, network = w["dataset"], w["network"]
    states = config.expert_epochs(dataset, network) + 1
    return BYTES * _networks(config) * states * weights(config, dataset, network)


def _networks(config: Config) -> float:
    """Return the experts of an average job."""
    plan = config.required_experts()
    return plan.networks / len(plan.parts())
