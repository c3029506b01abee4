"""MLP: three linear layers with 128 hidden units."""

from __future__ import annotations

from torch import nn

from condensery.networks.base import Network

_HIDDEN = 128


def mlp(channels: int, size: tuple[int, int], classes: int) -> Network:
    """Build the MLP; its embedding is the second hidden layer, after the ReLU.

    Args:
        channels: 1 or 3.
        size: height and width of the images in pixels.
        classes: number of classes.
    """
    pixels = channels * size[0] * size[1]
    body = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU()
    )
    return Network(body, _HIDDEN, classes)
