"""How much a job computes, from the configuration alone: steps and multiply-adds.

Nothing here needs PyTorch, so that a workflow can ask for every job of a large plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from condensery.architectures import DEPTH, FAMILIES, WIDTH, number, parse
from condensery.experiment import Config
from condensery.training.schedules import Schedule

# Multiply-adds in units of a forward pass. A backward pass to the pixels alone, through fixed weights, adds
# one unit; to pixels and weights, two; a second derivative repeats both passes.
FORWARD, TO_PIXELS, TRAINING, SECOND_ORDER = 1, 2, 3, 9

# If a data set's entry does not state how many images its classes have.
IMAGES_OF_A_CLASS = 5000

# Test images per training image, roughly; the exact number is in files that are not read here.
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Work:
    """The work of a job.

    Attributes:
        kind: the kind of its steps, because the speed of multiply-adds depends on it: matching ``features``,
            ``gradients`` or ``pixels``; ``training``; ``selection``; or a kind of generator.
        steps: the number of consecutive steps, each of which depends on the one before.
        multiply_adds: multiply-adds of all steps together.
    """

    kind: str
    steps: float
    multiply_adds: float

    def part(self, share: float) -> Work:
        """Return the work of a job that handles a share of every step."""
        return Work(self.kind, self.steps, share * self.multiply_adds)


def evaluating(config: Config, dataset: str, recipe: str, network: str, ipc: int, held: int) -> Work:
    """Return the work of training and testing the protocol's number of networks on one set.

    Args:
        config: the configuration.
        dataset: name of the data set.
        recipe: name of the recipe.
        network: name of the evaluation network.
        ipc: stored images per class.
        held: images that one stored image is decoded to.
    """
    return training(config, dataset, recipe, network, ipc, held).part(config.spec["networks"])


def training(config: Config, dataset: str, recipe: str, network: str, ipc: int = 0, held: int = 1) -> Work:
    """Return the work of training one network and testing it.

    Args:
        config: the configuration.
        dataset: name of the data set.
        recipe: name of the recipe.
        network: name of the network that is trained.
        ipc: images per class; 0 is the whole training set.
        held: images that one stored image is decoded to.
    """
    values = config.recipe(recipe, dataset, ipc, network)
    whole = training_images(config, dataset)
    images = ipc * held * config.class_count(dataset) if ipc else whole
    # A recipe without parameters runs the few steps that its set was learned with.
    epochs = epochs_of(values) if "epochs" in values else 1
    epochs_run = TRAINING * epochs * images + FORWARD * TEST_SHARE * whole
    steps = epochs * math.ceil(images / values.get("batch", images))
    return Work("training", steps, epochs_run * multiply_adds(config, dataset, network))


def epochs_of(recipe: Mapping[str, Any]) -> int:
    """Return the number of epochs that a recipe runs, given its values in the configuration."""
    return Schedule(**recipe.get("schedule", {})).epochs_run(recipe["epochs"])


def training_images(config: Config, dataset: str) -> int:
    """Return the approximate number of training images of a data set; classes count as equally large."""
    of_a_class = config.dataset(dataset).get("smallest_class", IMAGES_OF_A_CLASS)
    return of_a_class * config.class_count(dataset)


def image_floats(config: Config, dataset: str) -> int:
    """Return the number of values of one image of a data set."""
    entry = config.dataset(dataset)
    return entry["channels"] * math.prod(entry["size"])


def multiply_adds(config: Config, dataset: str, network: str) -> float:
    """Return the multiply-adds of one image's forward pass, within about 10 %.

    Args:
        config: the configuration.
        dataset: name of the data set.
        network: name of the network.
    """
    entry = config.dataset(dataset)
    channels, pixels = entry["channels"], math.prod(entry["size"])
    if (channels, pixels) == (1, 28 * 28):
        pixels = 32 * 32  # the networks pad it
    name, options = parse(network)
    if (known := FAMILIES[name].pixel_multiply_adds) is not None:
        return known * pixels
    width, depth = _convnet(options)
    maps, total = pixels, 0.0
    for block in range(depth):
        total += 9 * (width if block else channels) * width * maps
        if options.get("pooling") != "nopool":
            maps /= 4
    return total


def weights(config: Config, dataset: str, network: str) -> float:
    """Return the number of weights of a network, within about 10 %.

    Args:
        config: the configuration.
        dataset: name of the data set, which determines channels, size and classes.
        network: name of the network.
    """
    name, options = parse(network)
    if (known := FAMILIES[name].weights) is not None:
        return known
    entry = config.dataset(dataset)
    width, depth = _convnet(options)
    kernels = 9 * width * (entry["channels"] + (depth - 1) * width)
    halvings = [0 if options.get("pooling") == "nopool" else block for block in range(depth + 1)]
    halved = [math.prod(entry["size"]) / 4**number for number in halvings]
    # Layer norm has two weights per element of the maps, the other norms two per map.
    norms = 2 * width * (sum(halved[:-1]) if options.get("norm") == "ln" else depth)
    return kernels + width * depth + norms + width * max(1, halved[-1]) * config.class_count(dataset)


def _convnet(options: Mapping[str, str]) -> tuple[int, int]:
    """Return width and depth of a ConvNet with these options, or of the default one."""
    return number(options.get("width", WIDTH[0])), number(options.get("depth", DEPTH[0]))
