"""Initial parameters from an explicit random stream."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)
_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


@torch.no_grad()
def initialize(net: _Module, generator: torch.Generator) -> _Module:
    """Give a network new initial parameters, in place, from the distributions that PyTorch uses.

    Weights and biases of convolutions and linear layers are uniform in +-1/sqrt(fan-in), as by PyTorch's
    ``reset_parameters`` (Kaiming uniform with a = sqrt(5)); normalizations start as the identity, and
    running statistics are reset. Of a network with LeCun's, weights have the variance 1/fan-in (LeCun et al.
    1998, section 4.6), here of a uniform distribution, and biases are 0. Nothing is read from the global
    random state: one uniform vector, drawn on the CPU and moved once, serves all parameters in the order of
    ``net.parameters()``, so the result is the same on every device.

    Args:
        net: a network on any device, in any memory format.
        generator: a CPU generator.

    Returns:
        The network itself.

    Raises:
        TypeError: the network holds a parameterised module of an unknown kind.
    """
    drawn: list[torch.Tensor] = []
    bounds: list[float] = []
    lecun = getattr(net, "lecun", False)
    for module in net.modules():
        parameters = list(module.parameters(recurse=False))
        if not parameters:
            continue
        if isinstance(module, _NORMS):
            module.reset_parameters()  # constants; of batch norm the running statistics too
        elif isinstance(module, nn.Conv2d | nn.Linear):
            drawn += parameters
            bound = 1 / math.sqrt(module.weight[0].numel())
            bounds += [math.sqrt(3) * bound, 0.0][: len(parameters)] if lecun else [bound] * len(parameters)
        else:
            raise TypeError(f"no initial distribution for {type(module).__name__}")
    flat = torch.rand(sum(p.numel() for p in drawn), generator=generator).mul_(2).sub_(1)
    values = flat.to(drawn[0].device).split([p.numel() for p in drawn])
    torch._foreach_mul_(values, bounds)
    for parameter, value in zip(drawn, values, strict=True):
        parameter.copy_(value.view(parameter.shape))
    return net
