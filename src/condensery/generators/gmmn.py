"""Generative moment matching network: a multilayer perceptron trained by the maximum mean discrepancy.

Source: Li, Swersky and Zemel, *Generative Moment Matching Networks*, 2015: uniform noise, four hidden layers,
and the square root of the squared discrepancy in a mixture of RBF kernels. Theirs has no classes; here the
class is an input, and the discrepancy is that within each class, averaged over the classes of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from condensery import kernels, networks
from condensery.data import DataInfo
from condensery.generators import base
from condensery.generators.base import Setting, descend, with_classes

# Classes in a step; each has an equal share of the batch.
_CLASSES = 10

# Widths of the kernels, relative to the mean distance between real images of a class. On MNIST this distance
# is about 10, so that the widths are those of the authors' public code: 2, 5, 10, 20, 40 and 80.
WIDTHS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)

# Images per class from which this distance is measured.
_MEASURED = 100

# Keeps the slope of the square root finite.
_EPSILON = 1e-6


class Generator(base.Generator):
    """A perceptron with four hidden layers of ReLU.

    Args:
        info: the data set.
        noise: length of the noise vector of an image.
        width: units of the last hidden layer; the others have 1/16, 1/4 and 1/4 of it (the authors' network
            has 64, 256, 256 and 1,024).
    """

    def __init__(self, info: DataInfo, noise: int, width: int) -> None:
        super().__init__(info, noise)
        self._shape = (info.channels, info.height, info.width)
        self._classes = len(info.classes)
        sizes = [noise + self._classes, width // 16, width // 4, width // 4, width]
        hidden = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, info.channels * info.height * info.width))

    def draw(self, count: int, stream: torch.Generator) -> Tensor:
        """Return noise uniform in [-1, 1), (count, noise) on the CPU."""
        return 2 * torch.rand(count, self.noise_size, generator=stream) - 1

    def logits(self, noise: Tensor, labels: Tensor) -> Tensor:
        """See :class:`condensery.generators.base.Generator`."""
        return self.layers(with_classes(noise, labels, self._classes)).unflatten(1, self._shape)


class Training(base.Training):
    """Adam on the mean, over the classes of a step, of the discrepancy of real and generated images.

    Parameters (``config/methods.yaml``): ``iterations``; ``batch``, the number of real images per step, and
    of generated ones; ``lr``; ``noise`` and ``width`` of the generator.
    """

    def __init__(self, setting: Setting) -> None:
        """Draw the initial weights, and measure the mean distance between real images."""
        super().__init__(setting)
        self.generator = self.make(setting.data.info, setting.parameters)
        networks.initialize(self.generator.to(setting.device.torch_device), setting.stream("weights"))
        self.modules = {"generator": self.generator}
        self.optimizers = {"adam": torch.optim.Adam(self.generator.parameters(), lr=setting.parameters["lr"])}
        classes = self._classes_of(-1)
        real = self.real.of_classes(classes, _MEASURED, -1).flatten(2)
        distance = sum(kernels.mean_distance(images, 2).item() for images in real) / len(real)
        self.kernel = kernels.mixture([width * distance for width in WIDTHS])

    @staticmethod
    def make(info: DataInfo, parameters: Mapping[str, Any]) -> Generator:
        """See :class:`condensery.generators.base.Training`."""
        return Generator(info, parameters["noise"], parameters["width"])

    @property
    def result(self) -> Generator:
        """See :class:`condensery.generators.base.Training`."""
        return self.generator

    def _classes_of(self, step: int) -> list[int]:
        classes = self.setting.classes
        order = torch.randperm(len(classes), generator=self.setting.stream("classes", step))
        return [classes[index] for index in order[:_CLASSES].tolist()]

    def step(self, step: int) -> dict[str, Tensor]:
        """See :class:`condensery.generators.base.Training`."""
        classes = self._classes_of(step)
        size = max(2, self.setting.parameters["batch"] // len(classes))
        real = self.real.of_classes(classes, size, step).flatten(2)
        labels = torch.tensor(classes, device=real.device).repeat_interleave(size)
        with self.setting.device.autocast():
            generated = self.generator(self.noise(self.generator, len(labels), step), labels)
        # The kernels are computed in float32, because bfloat16 loses the digits of small distances.
        squares = kernels.mmd_squared(self.kernel, real, generated.flatten(1).unflatten(0, real.shape[:2]))
        loss = (squares.clamp(min=0) + _EPSILON).sqrt().mean()
        return {"mmd": descend(self.optimizers["adam"], loss)}
