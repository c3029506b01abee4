"""The discriminator of BigGAN: residual, spectrally normalized, with a projection on the class."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.data import DataInfo
from condensery.generators.layers import SpectralConv2d, SpectralEmbedding, SpectralLinear

# Maps are halved down to this many pixels.
_SMALLEST = 8

# Blocks that keep the size, after those that halve it.
_PLAIN = 2


class Block(nn.Module):
    """Two convolutions with a shortcut; the maps may be halved by averaging.

    Args:
        inputs: channels.
        outputs: channels.
        halve: whether to halve the maps.
        first: whether the maps are images; the block then begins without a ReLU.
    """

    def __init__(self, inputs: int, outputs: int, *, halve: bool, first: bool = False) -> None:
        super().__init__()
        self._halve, self._first = halve, first
        self.one, self.two = SpectralConv2d(inputs, outputs, 3), SpectralConv2d(outputs, outputs, 3)
        changed = halve or inputs != outputs
        self.shortcut = SpectralConv2d(inputs, outputs, 1) if changed else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), or half of that height and width."""
        inner = self.two(F.relu(self.one(maps if self._first else F.relu(maps))))
        # Averaging and a 1x1 convolution commute; on halved maps the convolution costs a quarter.
        outer = self.shortcut(F.avg_pool2d(maps, 2) if self._halve else maps)
        return (F.avg_pool2d(inner, 2) if self._halve else inner) + outer


class Discriminator(nn.Module):
    """Scores how real an image of a class looks.

    Args:
        info: the data set.
        width: channels of all maps.
    """

    def __init__(self, info: DataInfo, width: int) -> None:
        super().__init__()
        halvings = max(0, math.ceil(math.log2(min(info.height, info.width) / _SMALLEST)))
        blocks = [
            Block(width if number else info.channels, width, halve=number < halvings, first=not number)
            for number in range(halvings + _PLAIN)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.score = SpectralLinear(width, 1)
        self.classes = SpectralEmbedding(len(info.classes), width)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the scores, float32 (N,), of (N, C, H, W) with classes int64 (N,).

        A score is a linear function of the features plus their product with the vector of the class
        (Miyato and Koyama 2018).
        """
        features = F.relu(self.blocks(images)).float().sum((2, 3))
        return (self.score(features).squeeze(1) + (self.classes(labels) * features).sum(1)).float()


def discriminator_loss(real: Tensor, generated: Tensor) -> Tensor:
    """Return the hinge loss of the scores of real and of generated images, a scalar."""
    return F.relu(1 - real).mean() + F.relu(1 + generated).mean()


def generator_loss(generated: Tensor) -> Tensor:
    """Return the generator loss, minus the mean score of its images, a scalar."""
    return -generated.mean()
