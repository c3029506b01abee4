"""LeNet: two convolutions of 5 x 5 with max pooling, then three linear layers."""

from __future__ import annotations

from torch import nn

from condensery.networks.base import Network, halved


def lenet(channels: int, size: tuple[int, int], classes: int) -> Network:
    """Build LeNet; its embedding is the second hidden linear layer (84), after the ReLU.

    The first convolution is padded by 2 for images under 32 pixels (28 x 28 in the authors' public code), and
    the second, too, for images under 12 pixels, which would otherwise be too small for the pooling.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: number of classes.
    """
    layers: list[nn.Module] = []
    maps = size
    for inputs, outputs, least in ((channels, 6, 32), (6, 16, 6)):
        padding = 2 if min(maps) < least else 0
        layers += [nn.Conv2d(inputs, outputs, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2, 2)]
        maps = halved((maps[0] + 2 * padding - 4, maps[1] + 2 * padding - 4))
    layers += [nn.Flatten(), nn.Linear(16 * maps[0] * maps[1], 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
    return Network(nn.Sequential(*layers), 84, classes)
