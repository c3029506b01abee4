"""Kernels between images, and the maximum mean discrepancy (Gretton et al. 2012).

A kernel is a function of two sets of flat images, (..., n, D) and (..., m, D), that returns its value for
every pair, (..., n, m). Kernels are scaled so that their gradients are about as large as those of the linear
kernel, and all can use the same learning rate: a factor of the kernel is a factor of the discrepancy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor], Tensor]


def linear(x: Tensor, y: Tensor) -> Tensor:
    """Return the inner products. With this kernel the discrepancy is the squared distance of the means."""
    return x @ y.mT


def polynomial(degree: int) -> Kernel:
    """Return the kernel ``(<x, y> / D + 1) ** degree``, times ``D / degree``."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        dimensions = x.shape[-1]
        return dimensions / degree * (linear(x, y) / dimensions + 1) ** degree

    return kernel


def rbf(width: Tensor | float) -> Kernel:
    """Return the kernel ``exp(-|x - y|^2 / (2 width^2))``, times ``width^2``."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return width**2 * torch.exp(-squared_distances(x, y) / (2 * width**2))

    return kernel


def laplacian(width: Tensor | float) -> Kernel:
    """Return the kernel ``exp(-|x - y|_1 / width)``, times ``width``."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return width * torch.exp(-torch.cdist(x, y, p=1) / width)

    return kernel


def mixture(widths: Sequence[Tensor | float]) -> Kernel:
    """Return the sum of ``exp(-|x - y|^2 / (2 width^2))`` over some widths (Li et al. 2015), unscaled."""

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        squares = squared_distances(x, y)
        return torch.stack([torch.exp(-squares / (2 * width**2)) for width in widths]).sum(0)

    return kernel


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distance of every pair: (..., n, D), (..., m, D) -> (..., n, m)."""
    norms = x.square().sum(-1)[..., :, None] + y.square().sum(-1)[..., None, :]
    return (norms - 2 * linear(x, y)).clamp(min=0)


def mmd_squared(kernel: Kernel, x: Tensor, y: Tensor) -> Tensor:
    """Return the biased estimate of the squared discrepancy, which is never negative: (...,).

    Args:
        kernel: the kernel.
        x: flat images (..., n, D).
        y: flat images (..., m, D).
    """
    own, others, across = kernel(x, x), kernel(y, y), kernel(x, y)
    return own.mean((-2, -1)) + others.mean((-2, -1)) - 2 * across.mean((-2, -1))


def mean_distance(x: Tensor, p: int) -> Tensor:
    """Return the mean distance between two different images of a set, a scalar.

    Args:
        x: flat images (n, D), n at least 2.
        p: 2 for the Euclidean distance, 1 for the sum of absolute differences.
    """
    return torch.nn.functional.pdist(x, p=p).mean()
