"""ConvNet: equal blocks of convolution, normalization, activation and pooling (DM section 3.1)."""

from __future__ import annotations

from torch import nn

from condensery.networks.base import Network, can_halve, first_convolution, first_size, halved, normalization

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "leakyrelu": nn.LeakyReLU, "swish": nn.SiLU}
POOLINGS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d, "nopool": None}


def convnet(
    channels: int,
    size: tuple[int, int],
    classes: int,
    *,
    depth: int,
    width: int,
    activation: str,
    norm: str,
    pooling: str,
) -> Network:
    """Build a ConvNet; the defaults of its options are in `condensery.architectures`.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: number of classes.
        depth: number of blocks; each halves the maps while `can_halve` allows.
        width: channels of every block.
        activation: a key of `ACTIVATIONS`; the slope of leakyrelu is 0.01, swish is x sigmoid(x).
        norm: one of `condensery.architectures.NORMS`.
        pooling: a key of `POOLINGS`, 2 x 2 with stride 2.

    Raises:
        CondenseryError: the width does not suit group norm.
    """
    layers: list[nn.Module] = []
    maps = first_size(channels, size)
    for block in range(depth):
        if block:
            layers.append(nn.Conv2d(width, width, 3, padding=1))
        else:
            layers.append(first_convolution(channels, size, width, 3))
        layers += normalization(norm, width, maps)
        layers.append(ACTIVATIONS[activation]())
        pool = POOLINGS[pooling]
        if pool is not None and can_halve(maps, last=block == depth - 1):
            layers.append(pool(2, 2))
            maps = halved(maps)
    return Network(nn.Sequential(*layers), width * maps[0] * maps[1], classes)
