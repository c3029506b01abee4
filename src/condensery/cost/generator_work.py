"""The work of training generators, and of sampling from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from condensery.cost.work import FORWARD, TRAINING, Work, image_floats
from condensery.experiment import Config

# As the generators have it: maps grow from about 4 pixels; those of the discriminator shrink to 8 and then
# pass two more blocks.
_FIRST, _LAST, _PLAIN = 4, 8, 2


KINDS = ("gmmn", "vae", "biggan")
"""Kinds of generators, which a method's entry names under ``work``; each is a kind of work."""


def training(config: Config, dataset: str, method: str) -> Work:
    """Return the work of training a method's generator.

    Args:
        config: the configuration.
        dataset: name of the data set.
        method: name of a generative method.
    """
    values = config.generator_parameters(dataset, method)
    kind, iterations = config.method(method)["work"], values["iterations"]
    generated = multiply_adds(config, dataset, method)
    steps = 1
    if kind == "gmmn":
        # Pairs of images of a class: real with real, generated with generated, and one of each.
        pairs = 3 * values["batch"] / min(10, config.class_count(dataset)) * image_floats(config, dataset)
        image = TRAINING * generated + pairs
    elif kind == "vae":
        image = TRAINING * (generated + _encoder(config, dataset, values))
    else:
        steps = values["steps_net"] + 1
        judged = _discriminator(config, dataset, values["width"])
        judging = FORWARD * generated + 2 * TRAINING * judged  # real and generated
        image = values["steps_net"] * judging + TRAINING * (generated + judged)
    return Work(kind, iterations * steps, iterations * values["batch"] * image)


def sampling(config: Config, dataset: str, method: str, ipc: int) -> Work:
    """Return the work of drawing the images of a set from a trained generator.

    Args:
        config: the configuration.
        dataset: name of the data set.
        method: name of a generative method.
        ipc: images per class.
    """
    images = ipc * config.class_count(dataset)
    return Work(config.method(method)["work"], 0, images * multiply_adds(config, dataset, method))


def multiply_adds(config: Config, dataset: str, method: str) -> float:
    """Return the multiply-adds of drawing one image, within about 10 %.

    Args:
        config: the configuration.
        dataset: name of the data set.
        method: name of a generative method.
    """
    values = config.generator_parameters(dataset, method)
    entry, width = config.dataset(dataset), values["width"]
    inputs = values["noise"] + config.class_count(dataset)
    kind = config.method(method)["work"]
    if kind == "gmmn":
        sizes = [inputs, width // 16, width // 4, width // 4, width, image_floats(config, dataset)]
        return sum(a * b for a, b in pairwise(sizes))
    doublings, first = _doublings(entry["size"])
    pixels = [first * 4**number for number in range(doublings + 1)]
    if kind == "vae":
        widths = [*reversed(_widths(width, doublings)), width]
        total = inputs * widths[0] * first + 9 * width * entry["channels"] * pixels[-1]
        return total + sum(
            9 * a * b * size for (a, b), size in zip(pairwise(widths), pixels[1:], strict=True)
        )
    # Two convolutions on the doubled maps and a shortcut before; the image is cut out of the last maps.
    blocks = sum((2 * 9 * 4 + 1) * width**2 * size for size in pixels[:-1])
    return values["noise"] * width * first + blocks + 9 * width * image_floats(config, dataset)


def _encoder(config: Config, dataset: str, values: Mapping[str, Any]) -> float:
    entry = config.dataset(dataset)
    doublings, first = _doublings(entry["size"])
    widths = [entry["channels"], *_widths(values["width"], doublings)]
    sizes = [first * 4**number for number in reversed(range(doublings))]
    maps = sum(9 * a * b * size for (a, b), size in zip(pairwise(widths), sizes, strict=True))
    return maps + widths[-1] * first * 2 * values["noise"]


def _discriminator(config: Config, dataset: str, width: int) -> float:
    entry = config.dataset(dataset)
    pixels = math.prod(entry["size"])
    halvings = max(0, math.ceil(math.log2(min(entry["size"]) / _LAST)))
    total = 0.0
    for number in range(halvings + _PLAIN):
        inputs = width if number else entry["channels"]
        total += 9 * (inputs + width) * width * pixels
        if number < halvings:
            pixels /= 4
        if number < halvings or not number:
            total += inputs * width * pixels
    return total


def _doublings(size: list[int]) -> tuple[int, int]:
    """Return the number of doublings of the first maps, and their number of pixels."""
    doublings = max(1, math.ceil(math.log2(max(size) / _FIRST)))
    return doublings, math.prod(math.ceil(side / 2**doublings) for side in size)


def _widths(width: int, doublings: int) -> list[int]:
    return [width * min(2**number, 4) for number in range(doublings)]
