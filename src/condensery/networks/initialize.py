"""Initial parameters from an explicit random stream."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)
_NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def initialize(net: _Module, generator: torch.Generator) -> _Module:
    """Give a network new initial parameters, in place, see :func:`draw`.

    Args:
        net: a network on any device, in any memory format.
        generator: a CPU generator.

    Returns:
        The network itself.

    Raises:
        TypeError: the network holds a parameterised module of an unknown kind.
    """
    return assign(net, draw(net, generator))


@torch.no_grad()
def draw(net: nn.Module, generator: torch.Generator) -> torch.Tensor:
    """Draw initial parameters from the distributions that PyTorch uses.

    Weights and biases of convolutions and linear layers are uniform in +-1/sqrt(fan-in), as in PyTorch's
    ``reset_parameters`` (Kaiming uniform with a = sqrt(5)); normalizations start as the identity. If
    ``net.lecun`` is set, weights are uniform with variance 1/fan-in (LeCun et al. 1998, section 4.6), and
    biases are 0. The global random state is not used: one uniform vector, drawn on the CPU, serves all
    parameters in the order of ``net.parameters()``, so that the result is the same for every device.

    Args:
        net: a network on any device; it is not changed.
        generator: a CPU generator.

    Returns:
        The parameters one after the other, float32, on the CPU.

    Raises:
        TypeError: the network holds a parameterised module of an unknown kind.
    """
    lecun = getattr(net, "lecun", False)
    # For each parameter: its number of values, and the bound of their distribution, or their constant value.
    sizes: list[int] = []
    bounds: list[float | None] = []
    constants: list[float] = []
    for module in net.modules():
        parameters = list(module.parameters(recurse=False))
        if not parameters:
            continue
        sizes += [parameter.numel() for parameter in parameters]
        constants += [1.0, 0.0][: len(parameters)]
        if isinstance(module, _NORMS):
            bounds += [None] * len(parameters)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            own = [math.sqrt(3) * bound, 0.0] if lecun else [bound, bound]
            bounds += own[: len(parameters)]
        else:
            raise TypeError(f"no initial distribution for {type(module).__name__}")
    count = sum(size for size, bound in zip(sizes, bounds, strict=True) if bound is not None)
    uniform = torch.rand(count, generator=generator).mul_(2).sub_(1)
    values, first = torch.empty(sum(sizes)), 0
    for part, limit, constant in zip(values.split(sizes), bounds, constants, strict=True):
        if limit is None:
            part.fill_(constant)
        else:
            torch.mul(uniform[first : first + len(part)], limit, out=part)
            first += len(part)
    return values


@torch.no_grad()
def assign(net: _Module, values: torch.Tensor) -> _Module:
    """Give a network the parameters that :func:`draw` returned for it, in place; return it.

    Running statistics are reset.
    """
    parameters: list[torch.Tensor] = list(net.parameters())
    moved = values.to(parameters[0].device).split([parameter.numel() for parameter in parameters])
    torch._foreach_copy_(parameters, [part.view(p.shape) for part, p in zip(moved, parameters, strict=True)])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    return net
