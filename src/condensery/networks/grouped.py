"""Several networks of one shape as one network with grouped layers, one group of channels per network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery.networks.base import ACTIVATIONS, Network

# Layers that treat all channels alike.
_OF_ANY_CHANNEL = (*ACTIVATIONS, nn.AvgPool2d, nn.MaxPool2d)


def can_group(network: Network) -> bool:
    """Say whether :func:`logits` takes networks of this shape: its body is a sequence of plain layers."""
    body = network.body
    return isinstance(body, nn.Sequential) and all(
        isinstance(layer, (nn.GroupNorm, *_OF_ANY_CHANNEL))
        or (isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.bias is not None)
        for layer in body
    )


def joined(stacked: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return stacked parameters in the form that :func:`logits` takes.

    Args:
        stacked: name in the module -> the parameters of all networks, (K, out, ...).

    Returns:
        Those of the body as one layer with K groups has them, (K * out, ...), and those of the classifier.
    """
    return {name: t.flatten(0, 1) if name.startswith("body.") else t for name, t in stacked.items()}


def logits(network: Network, parameters: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Return the logits (K, n, classes) of K networks, each for its own images.

    A GPU starts one operation per layer for all networks, and no data are moved between layers.

    Args:
        network: one of the networks; see :func:`can_group`.
        parameters: see :func:`joined`.
        images: (K, n, C, H, W).
    """
    count = len(images)
    maps = images.transpose(0, 1).flatten(1, 2)
    assert isinstance(network.body, nn.Sequential)
    for name, layer in network.body.named_children():
        if isinstance(layer, _OF_ANY_CHANNEL):
            maps = layer(maps)
            continue
        weight, bias = (parameters[f"body.{name}.{kind}"] for kind in ("weight", "bias"))
        if isinstance(layer, nn.GroupNorm):
            maps = F.group_norm(maps, count * layer.num_groups, weight, bias, layer.eps)
        elif isinstance(layer, nn.Conv2d):
            # No network here has padding given by name, which would need another call.
            assert isinstance(layer.padding, tuple)
            maps = F.conv2d(maps, weight, bias, layer.stride, layer.padding, layer.dilation, count)
    features = maps.flatten(1).unflatten(1, (count, -1)).transpose(0, 1)
    weight, bias = parameters["classifier.weight"], parameters["classifier.bias"]
    return torch.baddbmm(bias[:, None], features, weight.transpose(1, 2))
