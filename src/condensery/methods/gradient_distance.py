"""Distances between the gradients of a network's parameters for real and for synthetic images.

Each function takes two sequences of tensors, one tensor per parameter and of its shape, in the order of
``network.parameters()``, and returns a scalar that is differentiable in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Keeps a cosine finite where a gradient vanishes (the authors' public code).
_EPSILON = 1e-6


def layerwise(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the sum of 1 - cosine over the output units of all layers (DC equations 9 and 10).

    The gradient of a weight (out, ...) is one vector per output unit. Parameters with one dimension, which
    are biases and the scales of most normalizations, are left out, as in the authors' public code.
    """
    pairs = zip(real, synthetic, strict=True)
    return torch.stack(
        [_one_minus_cosine(a.flatten(1), b.flatten(1)).sum() for a, b in pairs if a.dim() > 1]
    ).sum()


def mse(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the squared Euclidean distance between the gradients of all parameters (DC, ablation)."""
    return (_joined(real) - _joined(synthetic)).square().sum()


def cos(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return 1 - cosine between the gradients of all parameters, each taken as one vector (DC, ablation)."""
    return _one_minus_cosine(_joined(real), _joined(synthetic))


def mse_conv(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the squared Euclidean distance between the gradients of the convolutions' weights (IDC)."""
    return mse(_of_convolutions(real), _of_convolutions(synthetic))


def l1_conv(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """Return the sum of absolute differences between the gradients of the convolutions' weights (IDC)."""
    return (_joined(_of_convolutions(real)) - _joined(_of_convolutions(synthetic))).abs().sum()


DISTANCES: dict[str, Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]] = {
    "layerwise": layerwise,
    "mse": mse,
    "cos": cos,
    "mse-conv": mse_conv,
    "l1-conv": l1_conv,
}


def is_convolution(weight: Tensor) -> bool:
    """Say whether a parameter, or its gradient, is the weight of a convolution: (out, in, height, width)."""
    return weight.dim() == 4


def _of_convolutions(gradients: Sequence[Tensor]) -> list[Tensor]:
    return [gradient for gradient in gradients if is_convolution(gradient)]


def _joined(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def _one_minus_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return 1 - cosine along the last dimension: (..., n) -> (...)."""
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    return 1 - (a * b).sum(-1) / (norms + _EPSILON)
