"""The work of training the networks of a pool or of pairs, and the disk space of their states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from condensery.cost.work import FORWARD, TRAINING, Work, epochs_of, multiply_adds, training_images, weights
from condensery.experiment import Config
from condensery.experiment.plans import PAIRS_RECIPE, POOL_RECIPE

BYTES = 2
"""Bytes per stored weight."""


def training(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of one job's networks, which are tested whenever their states are stored."""
    plan, dataset, network = config.required_pool(), w["dataset"], w["network"]
    recipe = config.recipe(POOL_RECIPE, dataset, network=network)
    known = training_images(config, dataset)
    validated = plan.validation * known
    images = min(known - validated, plan.training_images or known)
    epochs = epochs_of(recipe)
    epochs_run = TRAINING * epochs * images + FORWARD * plan.states * validated
    once = Work(
        "training",
        epochs * math.ceil(images / recipe["batch"]),
        epochs_run * multiply_adds(config, dataset, network),
    )
    return once.part(_networks(config))


def training_pairs(config: Config, w: Mapping[str, Any]) -> Work:
    """Return the work of one job's pairs: the training, and two tests on the training images."""
    dataset, network = w["dataset"], w["network"]
    recipe = config.recipe(PAIRS_RECIPE, dataset, network=network)
    images, epochs = training_images(config, dataset), epochs_of(recipe)
    once = Work(
        "training",
        epochs * math.ceil(images / recipe["batch"]),
        (TRAINING * epochs + 2 * FORWARD) * images * multiply_adds(config, dataset, network),
    )
    return once.part(_pairs(config))


def stored_bytes_of_pairs(config: Config, w: Mapping[str, Any]) -> float:
    """Return the bytes that one job of pairs writes."""
    return BYTES * _pairs(config) * 2 * weights(config, w["dataset"], w["network"])


def stored_bytes(config: Config, w: Mapping[str, Any]) -> float:
    """Return the bytes that one job writes."""
    states = config.required_pool().states
    return BYTES * _networks(config) * states * weights(config, w["dataset"], w["network"])


def _networks(config: Config) -> float:
    """Return the networks of an average job."""
    plan = config.required_pool()
    return plan.networks / len(plan.parts())


def _pairs(config: Config) -> float:
    """Return the networks of an average job of pairs."""
    plan = config.required_pairs()
    return plan.networks / len(plan.parts())
