"""VGG-11 with one linear layer (the authors' public code)."""

from __future__ import annotations

from torch import nn

from condensery.networks.base import Network, can_halve, first_convolution, first_size, halved, normalization

# The channels of the convolutions; each group ends with max pooling.
_GROUPS = ((64,), (128,), (256, 256), (512, 512), (512, 512))


def vgg11(channels: int, size: tuple[int, int], classes: int, *, norm: str) -> Network:
    """Build VGG-11: convolution 3 x 3, normalization, ReLU; max pooling after each group.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels; up to 32 the features are 512.
        classes: number of classes.
        norm: ``in`` or ``bn``.
    """
    layers: list[nn.Module] = []
    inputs, maps = channels, first_size(channels, size)
    for index, group in enumerate(_GROUPS):
        for outputs in group:
            if layers:
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            else:
                layers.append(first_convolution(channels, size, outputs, 3))
            layers += [*normalization(norm, outputs, maps), nn.ReLU()]
            inputs = outputs
        if can_halve(maps, last=index == len(_GROUPS) - 1):
            layers.append(nn.MaxPool2d(2, 2))
            maps = halved(maps)
    return Network(nn.Sequential(*layers), inputs * maps[0] * maps[1], classes)
