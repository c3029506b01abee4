"""Kernel ridge regression in place of the training of a network: infinitely wide and fully connected.

Source: Nguyen, Chen and Lee, *Dataset Meta-Learning from Kernel Ridge-Regression*, 2021 (KIP). The kernel is
the neural tangent kernel (NTK) of a network with one hidden layer of ReLU units, weights of variance 2 over
the number of inputs and biases of variance 0.01 (the authors' public code): what an infinitely wide such
network is after gradient descent on the squared error.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_WEIGHT_VARIANCE = 2.0
_BIAS_VARIANCE = 0.01
# Of the mean diagonal of the kernel matrix (the authors' public code).
_RIDGE = 1e-6


def tangent_kernel(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Return the NTK of every pair of images: (n, D), (m, D) -> (n, m).

    Args:
        x: flat images.
        y: others; None for those of ``x`` themselves, for which the diagonal is exact and differentiable.
    """
    others = x if y is None else y
    first = _layer(x @ others.T / x.shape[1])
    own, others_own = (_layer(z.square().mean(1)) for z in (x, others))
    norms = (own[:, None] * others_own[None, :]).sqrt()
    # The slope of the angle is infinite where it is 0, as between an image and itself.
    edge = 4 * torch.finfo(x.dtype).eps
    angles = (first / norms).clamp(edge - 1, 1 - edge).acos()
    if y is None:
        angles = angles.masked_fill(torch.eye(len(x), dtype=torch.bool, device=x.device), 0)
    turned = math.pi - angles
    covariance = norms * (angles.sin() + turned * angles.cos()) / (2 * math.pi)
    return _WEIGHT_VARIANCE * first * turned / (2 * math.pi) + _layer(covariance)


def _layer(covariance: Tensor) -> Tensor:
    """Return the covariance of the outputs of a linear layer from that of its inputs."""
    return _WEIGHT_VARIANCE * covariance + _BIAS_VARIANCE


def predictions(support: Tensor, targets: Tensor, images: Tensor) -> Tensor:
    """Return what kernel ridge regression on a support predicts for images; differentiable in all.

    Args:
        support: flat images (n, D).
        targets: of the support, (n, C).
        images: flat images (m, D).

    Returns:
        (m, C).
    """
    return regression(tangent_kernel(support), tangent_kernel(images, support), targets)


def regression(own: Tensor, across: Tensor, targets: Tensor) -> Tensor:
    """Return the predictions of ridge regression, (m, C).

    Args:
        own: the kernel matrix of the support, (n, n).
        across: that of the images with the support, (m, n).
        targets: of the support, (n, C).
    """
    ridge = _RIDGE * own.trace() / len(own)
    factor = torch.linalg.cholesky(own + ridge * torch.eye(len(own), dtype=own.dtype, device=own.device))
    return across @ torch.cholesky_solve(targets, factor)


def targets_of(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return regression targets, (n, classes): labels as probabilities, less 1/classes.

    Args:
        labels: int64 (n,), or already (n, classes), whose rows need not be probabilities.
        classes: how many.
        dtype: of the result.
    """
    rows = torch.nn.functional.one_hot(labels, classes) if labels.ndim == 1 else labels
    return rows.to(dtype) - 1 / classes
