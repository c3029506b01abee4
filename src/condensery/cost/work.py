"""How much a job computes, told from the configuration alone: steps and multiply-adds.

Nothing here needs PyTorch, so that a workflow can ask for every job of a large plan.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from condensery.experiment import Config

# Multiply-adds of a pass in units of a forward pass. A backward pass to the pixels alone, through fixed
# weights, takes one more; to pixels and weights, two more; and a second derivative repeats both.
FORWARD, TO_PIXELS, TRAINING, SECOND_ORDER = 1, 2, 3, 9

# Multiply-adds for each pixel, at 32x32 RGB, of the networks that options of their name do not shape. A
# family that is not here counts as ConvNet.
PER_PIXEL = {
    "mlp": 400,
    "lenet": 640,
    "alexnet": 240e3,
    "vgg11": 150e3,
    "resnet18": 543e3,
    "resnet18ap": 727e3,
}

# Weights of the same networks, likewise, with 10 classes.
WEIGHTS = {
    "mlp": 411e3,
    "lenet": 62e3,
    "alexnet": 1.87e6,
    "vgg11": 9.23e6,
    "resnet18": 11.2e6,
    "resnet18ap": 11.2e6,
}

# Where a data set's entry does not say how many images its classes have.
IMAGES_OF_A_CLASS = 5000

# Test images for every training image, about; the files that would say are not read.
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Work:
    """What a job computes.

    Attributes:
        kind: what the steps are, since a device does not do all multiply-adds equally fast: matching
            ``features``, ``gradients`` or ``pixels``; ``training``; ``selection``; or a kind of generator.
        steps: how often something is computed before the next thing can be.
        multiply_adds: in all steps.
    """

    kind: str
    steps: float
    multiply_adds: float

    def part(self, share: float) -> Work:
        """Return the work of a job that handles a share of every step."""
        return Work(self.kind, self.steps, share * self.multiply_adds)


def evaluating(config: Config, dataset: str, recipe: str, network: str, ipc: int) -> Work:
    """Return the work of training and testing the protocol's number of networks on one set."""
    return training(config, dataset, recipe, network, ipc).part(config.spec["networks"])


def training(config: Config, dataset: str, recipe: str, network: str, ipc: int = 0) -> Work:
    """Return the work of training one network and testing it; ipc 0 stands for the whole training set."""
    values = config.recipe(recipe, dataset, ipc, network)
    whole = training_images(config, dataset)
    images = ipc * config.class_count(dataset) if ipc else whole
    # A recipe without parameters takes the few steps that its set was learned for.
    epochs = values["epochs"] + 1 if "epochs" in values else 1
    passes = TRAINING * epochs * images + FORWARD * TEST_SHARE * whole
    steps = epochs * math.ceil(images / values.get("batch", images))
    return Work("training", steps, passes * multiply_adds(config, dataset, network))


def training_images(config: Config, dataset: str) -> int:
    """Return about how many training images a data set has; classes count as equally large."""
    of_a_class = config.dataset(dataset).get("smallest_class", IMAGES_OF_A_CLASS)
    return of_a_class * config.class_count(dataset)


def image_floats(config: Config, dataset: str) -> int:
    """Return how many numbers one image of a data set is."""
    entry = config.dataset(dataset)
    return entry["channels"] * math.prod(entry["size"])


def multiply_adds(config: Config, dataset: str, network: str) -> float:
    """Return the multiply-adds of one image's forward pass, to about a tenth."""
    entry = config.dataset(dataset)
    channels, pixels = entry["channels"], math.prod(entry["size"])
    if (channels, pixels) == (1, 28 * 28):
        pixels = 32 * 32  # the networks pad it
    family = network.partition("-")[0]
    if family in PER_PIXEL:
        return PER_PIXEL[family] * pixels
    width, depth = _option(network, "w", 128), _option(network, "d", 3)
    maps, total = pixels, 0.0
    for block in range(depth):
        total += 9 * (width if block else channels) * width * maps
        if "nopool" not in network:
            maps /= 4
    return total


def weights(config: Config, dataset: str, network: str) -> float:
    """Return the number of weights of a network, to about a tenth."""
    family = network.partition("-")[0]
    if family != "convnet":
        return WEIGHTS[family]
    entry = config.dataset(dataset)
    width, depth = _option(network, "w", 128), _option(network, "d", 3)
    kernels = 9 * width * (entry["channels"] + (depth - 1) * width)
    halved = [
        math.prod(entry["size"]) / (1 if "nopool" in network else 4**block) for block in range(depth + 1)
    ]
    # Layer norm has two weights for every place of the maps, the other norms two for every map.
    norms = 2 * width * (sum(halved[:-1]) if "-ln" in network else depth)
    return kernels + width * depth + norms + width * max(1, halved[-1]) * config.class_count(dataset)


def _option(network: str, letter: str, default: int) -> int:
    found = re.search(rf"-{letter}(\d+)\b", network)
    return int(found[1]) if found else default
