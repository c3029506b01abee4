"""The work of making sets, by the formula that the entry of their method names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from condensery.cost import generator_work
from condensery.cost.work import (
    FORWARD,
    SECOND_ORDER,
    TO_PIXELS,
    TRAINING,
    Work,
    image_floats,
    multiply_adds,
    training_images,
)
from condensery.experiment import Config

# Reading and normalizing a pixel, in multiply-adds.
READING = 10
# A multiply-add in float64, in those in float32.
DOUBLE = 2


@dataclass(frozen=True)
class _Set:
    """The set to condense, and the units of the formulas: its classes and the multiply-adds per image."""

    config: Config
    dataset: str
    method: str
    ipc: int
    parameters: Mapping[str, Any]
    classes: int
    image: float


def _selection(s: _Set) -> Work:
    """Return the work of choosing real images: all pass through a network, if the method needs one."""
    seen = training_images(s.config, s.dataset) if "features" in s.config.needs(s.method) else 0
    return Work("selection", 0, FORWARD * seen * s.image)


def _features(s: _Set) -> Work:
    iterations, real = s.parameters["iterations"], s.classes * s.parameters["batch_real"]
    shown = s.ipc * s.parameters.get("formation", 1) ** 2
    step = FORWARD * real + TO_PIXELS * s.classes * shown
    return Work("features", iterations, iterations * step * s.image)


def _calibrated_features(s: _Set) -> Work:
    """Return the work of `_features`, and that of the synthetic images in a second network.

    NCFM's projections onto its frequencies, about a tenth of it, do not count.
    """
    known = _features(s)
    shown = s.classes * s.ipc * s.parameters["formation"] ** 2
    return Work(
        "features",
        2 * known.steps,
        known.multiply_adds + known.steps * TO_PIXELS * shown * s.image,
    )


def _queue(s: _Set) -> Work:
    """Return the work of `_features`, and of the training of two networks after each iteration."""
    known, parameters = _features(s), s.parameters
    steps = 2 * known.steps * parameters["train_steps"]
    trained = TRAINING * steps * parameters["batch_net"] * s.image
    return Work("training", known.steps + steps, known.multiply_adds + trained)


def _pixels(s: _Set) -> Work:
    # Every image is read, and makes a pair with each synthetic one of its class.
    images, iterations = s.classes * (s.parameters["batch_real"] + s.ipc), s.parameters["iterations"]
    step = images * (READING + TRAINING * s.ipc) * image_floats(s.config, s.dataset)
    return Work("pixels", iterations, iterations * step)


def _regression(s: _Set) -> Work:
    """Return the work of differentiating through a kernel regression; its real batch is of all classes."""
    synthetic, iterations = s.classes * s.ipc, s.parameters["iterations"]
    pairs = (s.parameters["batch_real"] + synthetic) * synthetic
    step = TRAINING * (pairs * image_floats(s.config, s.dataset) + synthetic**3)
    return Work("pixels", iterations, DOUBLE * iterations * step)


def _feature_regression(s: _Set) -> Work:
    """Return the work of a regression on a network's features, and of one step of its training.

    The regression itself, less than a tenth of it, does not count.
    """
    parameters, synthetic = s.parameters, s.classes * s.ipc
    shown = synthetic * (2 if parameters["flip"] else 1)
    trained = min(parameters["batch_net"], synthetic)
    images = FORWARD * parameters["batch_real"] + TO_PIXELS * shown + TRAINING * trained
    return Work("features", 2 * parameters["iterations"], parameters["iterations"] * images * s.image)


def _gradients(s: _Set) -> Work:
    parameters, synthetic = s.parameters, s.classes * s.ipc
    outer, inner = parameters["outer_loop"] or 1, parameters["inner_loop"] or 1
    matching = outer * (TRAINING * s.classes * parameters["batch_real"] + SECOND_ORDER * synthetic)
    training = (outer - 1) * inner * TRAINING * synthetic
    steps = outer + (outer - 1) * inner * math.ceil(synthetic / parameters["batch_net"])
    networks = parameters["iterations"]
    return Work("gradients", networks * steps, networks * (matching + training) * s.image)


def _real_gradients(s: _Set) -> Work:
    """Return the work of matching gradients in networks that are trained on real images."""
    parameters, outer = s.parameters, s.parameters["outer_loop"]
    shown = min(s.ipc * s.parameters.get("formation", 1) ** 2, parameters["batch_synthetic"])
    matching = outer * s.classes * (TRAINING * parameters["batch_real"] + SECOND_ORDER * shown)
    batches = (outer - 1) * parameters["steps_net"]
    training = TRAINING * batches * parameters["batch_net"]
    networks = parameters["iterations"]
    return Work("gradients", networks * (outer + batches), networks * (matching + training) * s.image)


def _unrolled_epochs(s: _Set) -> Work:
    """Return the work of differentiating through epochs of a network; its real batch is of all classes."""
    parameters, epochs = s.parameters, s.parameters["epochs"]
    runs = parameters["iterations"] * parameters["networks"]
    # Every step is computed forwards, and again with its derivative backwards.
    images = (TRAINING + SECOND_ORDER) * epochs * s.classes * s.ipc + TRAINING * parameters["batch_real"]
    return Work("gradients", runs * (2 * epochs * parameters["steps"] + 1), runs * images * s.image)


def _unrolled_losses(s: _Set) -> Work:
    """Return the work of differentiating through steps, with a loss of real images of all classes after each.

    That of a generator, which is small beside the network's, is left out.
    """
    steps, iterations = s.parameters["steps"], s.parameters["iterations"]
    images = (TRAINING + SECOND_ORDER) * s.classes * s.ipc + TRAINING * steps * s.parameters["batch_real"]
    return Work("gradients", 3 * iterations * steps, iterations * images * s.image)


def _unrolled_step(s: _Set) -> Work:
    """Return the work of differentiating through one step of a network; its real batch is of all classes."""
    batch, iterations = min(s.parameters["batch_net"], s.classes * s.ipc), s.parameters["iterations"]
    images = SECOND_ORDER * batch + TRAINING * s.parameters["batch_real"]
    return Work("gradients", 2 * iterations, iterations * images * s.image)


def _unrolled_trajectory(s: _Set) -> Work:
    """Return the work of differentiating through steps of a network, from a state that is read."""
    parameters = s.parameters
    steps = parameters["iterations"] * parameters["steps"]
    images = (TRAINING + SECOND_ORDER) * min(parameters["batch_net"], s.classes * s.ipc)
    return Work("gradients", 2 * steps, steps * images * s.image)


def _generator(s: _Set) -> Work:
    """Return the work of training a generator for this set alone."""
    return generator_work.training(s.config, s.dataset, s.method)


FORMULAS: Mapping[str, Callable[[_Set], Work]] = {
    "selection": _selection,
    "features": _features,
    "calibrated_features": _calibrated_features,
    "queue": _queue,
    "pixels": _pixels,
    "regression": _regression,
    "feature_regression": _feature_regression,
    "gradients": _gradients,
    "real_gradients": _real_gradients,
    "unrolled_epochs": _unrolled_epochs,
    "unrolled_losses": _unrolled_losses,
    "unrolled_step": _unrolled_step,
    "unrolled_trajectory": _unrolled_trajectory,
    **dict.fromkeys(generator_work.KINDS, _generator),
}
"""What an entry of methods.yaml may name under ``work``; parameters.schema.yaml has what each reads."""


def condensing(config: Config, dataset: str, method: str, network: str, ipc: int) -> Work | None:
    """Return the work of condensing one set, or None if the method does not state its work.

    Args:
        config: the configuration.
        dataset: name of the data set.
        method: name of the method, an entry of methods.yaml.
        network: name of the condensing network.
        ipc: images per class.
    """
    formula = config.method(method).get("work")
    if formula is None:
        return None
    parameters = config.parameters(dataset, method, network, ipc)
    image = multiply_adds(config, dataset, network)
    return FORMULAS[formula](
        _Set(config, dataset, method, ipc, parameters, config.class_count(dataset), image)
    )
