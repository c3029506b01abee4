"""Properties of a network on a batch: whether images mix, and how much memory they take."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from condensery.networks.base import Network, Size


def mixes_images(net: Network) -> bool:
    """Say whether an image's features in training mode depend on the other images of its batch."""
    return any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def activations(net: Network, channels: int, size: Size) -> int:
    """Return the number of activations of one image of ``channels`` x ``size`` pixels in all layers.

    A forward pass keeps about this many for the backward pass; a compiler may fuse some.
    """
    count = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        count += output.numel()

    # One real image: on the meta device, group norm imports the compiler, for 4 seconds of every job.
    trial = copy.deepcopy(net).eval()
    for module in trial.modules():
        if not list(module.children()):
            module.register_forward_hook(add)
    with torch.no_grad():
        trial(torch.zeros(1, channels, *size, device=next(net.parameters()).device))
    return count
