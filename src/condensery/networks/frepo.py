"""The network of FRePo (the authors' public code): a ConvNet whose channels double from block to block."""

from __future__ import annotations

from torch import nn

from condensery.networks.base import Network, can_halve, first_convolution, first_size, halved, normalization


def frepo(
    channels: int,
    size: tuple[int, int],
    classes: int,
    *,
    depth: int,
    width: int,
    norm: str,
) -> Network:
    """Build the network: blocks of convolution, ReLU and average pooling, LeCun's initial parameters.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: number of classes.
        depth: number of blocks; each halves the maps while `can_halve` allows.
        width: channels of the first block; each further block has twice as many as the one before.
        norm: ``nonorm``, with which the authors evaluate, or ``bn``, with which they condense: before every
            convolution but the first.
    """
    layers: list[nn.Module] = []
    inputs, maps = channels, first_size(channels, size)
    for block in range(depth):
        outputs = width * 2**block
        if block:
            layers += normalization(norm, inputs, maps)
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        else:
            layers.append(first_convolution(channels, size, outputs, 3))
        layers.append(nn.ReLU())
        if can_halve(maps, last=block == depth - 1):
            layers.append(nn.AvgPool2d(2, 2))
            maps = halved(maps)
        inputs = outputs
    network = Network(nn.Sequential(*layers), inputs * maps[0] * maps[1], classes)
    network.lecun = True
    return network
