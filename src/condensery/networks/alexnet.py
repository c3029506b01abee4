"""AlexNet for small images: five convolutions, one linear layer (the authors' public code)."""

from __future__ import annotations

from torch import nn

from condensery.networks.base import Network, can_halve, first_convolution, first_size, halved, normalization

# (channels, kernel, pooled) of the five convolutions
_BLOCKS = ((128, 5, True), (192, 5, True), (256, 3, False), (192, 3, False), (192, 3, True))


def alexnet(channels: int, size: tuple[int, int], classes: int, *, norm: str) -> Network:
    """Build AlexNet: convolution, normalization, ReLU and, after the 1st, 2nd and 5th, max pooling.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: number of classes.
        norm: ``nonorm`` (as the authors' AlexNet is), ``in`` or ``bn``.
    """
    layers: list[nn.Module] = []
    inputs, maps = channels, first_size(channels, size)
    for index, (outputs, kernel, pooled) in enumerate(_BLOCKS):
        if index:
            layers.append(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))
        else:
            layers.append(first_convolution(channels, size, outputs, kernel))
        layers += [*normalization(norm, outputs, maps), nn.ReLU()]
        if pooled and can_halve(maps, last=index == len(_BLOCKS) - 1):
            layers.append(nn.MaxPool2d(2, 2))
            maps = halved(maps)
        inputs = outputs
    return Network(nn.Sequential(*layers), inputs * maps[0] * maps[1], classes)
