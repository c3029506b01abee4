"""The work of making sets, by what the parameters of their method say."""

from __future__ import annotations

import math

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

# Reading and normalising a pixel, in multiply-adds.
READING = 10


def condensing(config: Config, dataset: str, method: str, network: str, ipc: int) -> Work:
    """Return the work of making one set.

    It follows from the parameters that the method has: a method of your own with ``iterations`` and
    ``batch_real`` counts as one that matches features, with ``outer_loop`` as well as one that matches
    gradients, with ``kernel`` as one that matches pixels, and without any as one that selects real images.
    One with ``lr_inner`` or with ``epochs`` differentiates through one step of a network, or through so many
    epochs; its real batch is of all classes. One that samples from a generator trains it for this set.
    """
    if config.needs_generator(method):
        return generator_work.training(config, dataset, method)
    parameters = config.parameters(dataset, method, network, ipc)
    image = multiply_adds(config, dataset, network)
    classes = config.class_count(dataset)
    if "kernel" in parameters:
        # Every image is read, and makes a pair with each synthetic one of its class.
        images, iterations = classes * (parameters["batch_real"] + ipc), parameters["iterations"]
        step = images * (READING + TRAINING * ipc) * image_floats(config, dataset)
        return Work("pixels", iterations, iterations * step)
    if "lr_inner" in parameters:
        step = (
            SECOND_ORDER * min(parameters["batch_net"], classes * ipc) + TRAINING * parameters["batch_real"]
        )
        return Work("gradients", 2 * parameters["iterations"], parameters["iterations"] * step * image)
    if "epochs" in parameters:
        runs, epochs = parameters["iterations"] * parameters["networks"], parameters["epochs"]
        # Forwards every step is taken, backwards it is taken again and differentiated.
        images = (TRAINING + SECOND_ORDER) * epochs * classes * ipc + TRAINING * parameters["batch_real"]
        return Work("gradients", runs * (2 * epochs * parameters["steps"] + 1), runs * images * image)
    synthetic, real = classes * ipc, classes * parameters.get("batch_real", 0)
    if "outer_loop" in parameters:
        outer, inner = parameters["outer_loop"] or 1, parameters["inner_loop"] or 1
        matching = outer * (TRAINING * real + SECOND_ORDER * synthetic)
        training = (outer - 1) * inner * TRAINING * synthetic
        batches = math.ceil(synthetic / parameters.get("batch_net", synthetic))
        steps = outer + (outer - 1) * inner * batches
        networks = parameters["iterations"]
        return Work("gradients", networks * steps, networks * (matching + training) * image)
    if "iterations" in parameters:
        iterations = parameters["iterations"]
        step = FORWARD * real + TO_PIXELS * synthetic
        return Work("features", iterations, iterations * step * image)
    seen = training_images(config, dataset) if config.method(method)["needs_features"] else 0
    return Work("selection", 0, FORWARD * seen * image)
