"""The networks as plain arithmetic on a list of parameters in the order of their use.

Written from the papers' description; nothing here is shared with the library. Batch norm is in
training mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Take = Callable[[], Tensor]
"""Returns the next parameter."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "relu": lambda x: x * (x > 0),
    "leakyrelu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "swish": lambda x: x / (1 + torch.exp(-x)),
}


def normalize(x: Tensor, kind: str, take: Take) -> Tensor:
    """Normalize over the dimensions of the kind of norm, then scale and shift."""
    if kind == "nonorm":
        return x
    weight, bias = take(), take()
    if kind == "ln":
        weight, bias = weight[None], bias[None]
    else:
        weight, bias = weight[None, :, None, None], bias[None, :, None, None]
    shape = x.shape
    over = {"in": (2, 3), "bn": (0, 2, 3), "ln": (1, 2, 3), "gn": (2, 3, 4)}[kind]
    if kind == "gn":
        x = x.reshape(shape[0], 4, shape[1] // 4, *shape[2:])
    mean = x.mean(over, keepdim=True)
    variance = ((x - mean) ** 2).mean(over, keepdim=True)
    return ((x - mean) / torch.sqrt(variance + 1e-5)).reshape(shape) * weight + bias


def pool(x: Tensor, kind: str) -> Tensor:
    """Average or maximum of each 2 x 2 square; an odd last row or column is dropped."""
    if kind == "nopool":
        return x
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    corners = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)])
    return corners.mean(0) if kind == "avg" else corners.amax(0)


def sequence(
    x: Tensor,
    take: Take,
    layers: Sequence[tuple[int, bool]],
    *,
    padding: int,
    activation: str = "relu",
    norm: str = "in",
    pooling: str = "max",
) -> Tensor:
    """Run (kernel, pooled) layers: convolution, normalization, activation, pooling.

    The first convolution is padded by ``padding``; the others keep the size.
    """
    for index, (kernel, pooled) in enumerate(layers):
        x = F.conv2d(x, take(), take(), padding=kernel // 2 if index else padding)
        x = ACTIVATIONS[activation](normalize(x, norm, take))
        x = pool(x, pooling) if pooled else x
    return x.flatten(1)


def resnet18(x: Tensor, take: Take, *, norm: str, average_pooling: bool) -> Tensor:
    """Run a stem and four stages of two blocks; stages 2 to 4 begin by halving the sides of the maps."""
    relu = ACTIVATIONS["relu"]
    x = relu(normalize(F.conv2d(x, take(), padding=1), norm, take))
    for stage in range(4):
        for block in range(2):
            halve = stage > 0 and block == 0
            shrink = "avg" if halve and average_pooling else "nopool"
            stride = 2 if halve and not average_pooling else 1
            y = relu(normalize(F.conv2d(x, take(), padding=1, stride=stride), norm, take))
            y = normalize(F.conv2d(pool(y, shrink), take(), padding=1), norm, take)
            if halve:
                x = normalize(pool(F.conv2d(x, take(), stride=stride), shrink), norm, take)
            x = relu(x + y)
    return x.flatten(1) if average_pooling else x.mean((2, 3))


def linear(x: Tensor, take: Take) -> Tensor:
    """Apply a weight (out, in) and a bias."""
    weight, bias = take(), take()
    return x @ weight.T + bias
