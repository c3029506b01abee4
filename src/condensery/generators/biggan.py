"""BigGAN for small images, with differentiable augmentation.

Source: Brock, Donahue and Simonyan, *Large Scale GAN Training for High Fidelity Natural Image Synthesis*,
2019, with the settings of its public code for CIFAR: no attention, no orthogonal regularization, the noise
only at the first layer. Augmentation as in Zhao et al., *Differentiable Augmentation for Data-Efficient GAN
Training*, 2020: every image that the discriminator sees is augmented, real or not, and gradients pass
through.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.augmentation import siamese
from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.generators import base
from condensery.generators.base import Setting, descend, random_labels
from condensery.generators.discriminator import Discriminator, discriminator_loss, generator_loss
from condensery.generators.layers import (
    ConditionalBatchNorm,
    SpectralConv2d,
    SpectralLinear,
    cut,
    doublings,
    first_size,
    initialize,
)

_BETAS = (0.0, 0.999)


class Block(nn.Module):
    """Doubles maps: two convolutions after class-conditional batch norm and ReLU, with a shortcut."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalBatchNorm(width, classes) for _ in range(2))
        self.one, self.two = SpectralConv2d(width, width, 3), SpectralConv2d(width, width, 3)
        self.shortcut = SpectralConv2d(width, width, 1)

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Map (N, width, H, W) with classes int64 (N,) to (N, width, 2H, 2W)."""
        first, second = self.norms
        inner = self.one(F.interpolate(F.relu(first(maps, labels)), scale_factor=2))
        inner = self.two(F.relu(second(inner, labels)))
        return inner + F.interpolate(self.shortcut(maps), scale_factor=2)


class Generator(base.Generator):
    """A linear layer, residual blocks that double the maps, and a convolution.

    Args:
        info: the data set.
        noise: length of the noise vector of an image.
        width: channels of all maps.
    """

    def __init__(self, info: DataInfo, noise: int, width: int) -> None:
        super().__init__(info, noise)
        self._size = (info.height, info.width)
        self._first = (width, *first_size(self._size))
        self.seed = SpectralLinear(noise, math.prod(self._first))
        self.blocks = nn.ModuleList(Block(width, len(info.classes)) for _ in range(doublings(self._size)))
        self.norm = nn.BatchNorm2d(width)
        self.image = SpectralConv2d(width, info.channels, 3)

    def logits(self, noise: Tensor, labels: Tensor) -> Tensor:
        """See :class:`condensery.generators.base.Generator`."""
        maps = self.seed(noise).unflatten(1, self._first)
        for block in self.blocks:
            maps = block(maps, labels)
        # Twice, because the authors' tanh is a sigmoid of twice its argument.
        return 2 * self.image(F.relu(self.norm(cut(maps, self._size))))


@torch.no_grad()
def follow(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Update an exponential moving average: average <- decay * average + (1 - decay) * current.

    All floating-point values are averaged, including running statistics; integer counts are copied.

    Args:
        average: the module that holds the average, changed in place.
        current: the module of the same kind that is trained.
        decay: the weight of the old average, 0 to 1.
    """
    for old, new in zip(average.state_dict().values(), current.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def decay(step: int, limit: float) -> float:
    """Return the decay of the average after a step (from 0): (1 + step) / (10 + step), at most ``limit``.

    The small first values make the contribution of the untrained weights fade quickly.
    """
    return min(limit, (1 + step) / (10 + step))


def augmented(images: Tensor, strategy: str, stream: torch.Generator) -> Tensor:
    """Apply every family of a strategy, one after the other, each image with its own parameters.

    Args:
        images: (N, C, H, W).
        strategy: families joined by ``_``, or ``none``.
        stream: a CPU generator.
    """
    for family in siamese.parse(strategy):
        images = siamese.apply(images, siamese.draw(family, len(images), images.shape[-2:], stream))
    return images


class Training(base.Training):
    """Adam on the hinge loss: ``steps_net`` steps of the discriminator, then one of the generator.

    Images are sampled from an exponential moving average of the generator's weights.

    Parameters (``config/methods.yaml``): ``iterations``, steps of the generator; ``steps_net``; ``batch``;
    ``lr`` of both networks; ``noise``; ``width``; ``ema``, the largest decay of the average; ``strategy`` of
    the augmentation.
    """

    def __init__(self, setting: Setting) -> None:
        """Draw the initial weights."""
        super().__init__(setting)
        info, parameters, device = setting.data.info, setting.parameters, setting.device.torch_device
        self.generator = self.make(info, parameters).to(device)
        self.discriminator = Discriminator(info, parameters["width"]).to(device)
        for name in ("generator", "discriminator"):
            initialize(getattr(self, name), setting.stream(f"{name}-weights"))
        self.average = copy.deepcopy(self.generator)
        self._judged: Tensor | None = None
        self.modules = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
        }
        self.optimizers = {
            f"adam-{name}": torch.optim.Adam(
                self.modules[name].parameters(), lr=parameters["lr"], betas=_BETAS
            )
            for name in ("generator", "discriminator")
        }

    @staticmethod
    def make(info: DataInfo, parameters: Mapping[str, Any]) -> Generator:
        """See :class:`condensery.generators.base.Training`."""
        return Generator(info, parameters["noise"], parameters["width"])

    @property
    def result(self) -> Generator:
        """See :class:`condensery.generators.base.Training`."""
        return self.average

    def step(self, step: int) -> dict[str, Tensor]:
        """See :class:`condensery.generators.base.Training`."""
        losses = [self._judge(step, number) for number in range(self.setting.parameters["steps_net"])]
        images, labels = self._generated(step, len(losses))
        scores = self._scores(images, labels, step, len(losses))
        improved = descend(self.optimizers["adam-generator"], generator_loss(scores))
        follow(self.average, self.generator, decay(step, self.setting.parameters["ema"]))
        return {"discriminator": losses[-1], "generator": improved}

    def check(self) -> None:
        """See :class:`condensery.generators.base.Training`.

        A discriminator whose last maps are zero for every image has no gradient to train the generator.

        Raises:
            CondenseryError: the discriminator gives every image the same score.
        """
        if self._judged is not None and (self._judged == self._judged[0]).all():
            raise CondenseryError(
                "the discriminator gives every image the same score and can no longer learn: lower "
                "its `lr` in the protocol or in config/methods.yaml"
            )

    def _judge(self, step: int, number: int) -> Tensor:
        """Do one step of the discriminator, and return its loss."""
        real, real_labels = self.real.batch(self.setting.parameters["batch"], step, number)
        with torch.no_grad():
            generated, labels = self._generated(step, number)
        # Real and generated images in one pass, augmented separately with the same families.
        scores = self._scores(torch.cat([real, generated]), torch.cat([real_labels, labels]), step, number)
        self._judged = scores.detach()
        return descend(self.optimizers["adam-discriminator"], discriminator_loss(*scores.split(len(real))))

    def _generated(self, step: int, number: int) -> tuple[Tensor, Tensor]:
        """Return a batch of generated images of random classes, and the classes."""
        setting = self.setting
        count = setting.parameters["batch"]
        labels = random_labels(setting.classes, count, setting.stream("labels", step, number))
        labels = labels.to(setting.device.torch_device)
        noise = self.noise(self.generator, count, step, number)
        with setting.device.autocast():
            return self.generator(noise, labels), labels

    def _scores(self, images: Tensor, labels: Tensor, step: int, number: int) -> Tensor:
        """Return the scores of augmented images, (N,)."""
        stream = self.setting.stream("augmentation", step, number)
        images = augmented(images, self.setting.parameters["strategy"], stream)
        with self.setting.device.autocast():
            return self.discriminator(images, labels)
