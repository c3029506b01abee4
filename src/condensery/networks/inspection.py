"""Properties of a network: whether the images of a batch mix, and the number of activations."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from condensery.networks.base import Network, Size


def mixes_images(net: Network) -> bool:
    """Say whether an image's features in training mode depend on the other images of its batch."""
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def activations(net: Network, channels: int, size: Size) -> int:
    """Return the number of activations of one image in all layers.

    A forward pass keeps about this many values for the backward pass; a compiler may fuse some.

    Args:
        net: the network, on any device; it is not changed.
        channels: channels of the images.
        size: height and width of the images in pixels.
    """
    count = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        count += output.numel()

    # On a real device: on the meta device, group norm imports the compiler, which takes 4 seconds per job.
    trial = copy.deepcopy(net).eval()
    for module in trial.modules():
        if not list(module.children()):
            module.register_forward_hook(add)
    with torch.no_grad():
        trial(torch.zeros(1, channels, *size, device=next(net.parameters()).device))
    return count
