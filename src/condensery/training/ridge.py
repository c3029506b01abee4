"""Kernel ridge regression in place of the training of a network: infinitely wide and fully connected.

Source: Nguyen, Chen and Lee, *Dataset Meta-Learning from Kernel Ridge-Regression*, 2021 (KIP). The kernel is
the neural tangent kernel (NTK) of a network with one hidden layer of ReLU units, weights of variance
2 / (number of inputs) and biases of variance 0.01 (the authors' public code). The regression is the result of
gradient descent on the squared error in such a network of infinite width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from condensery.data import Split
from condensery.machine.device import Device
from condensery.training.samples import Samples

_WEIGHT_VARIANCE = 2.0
_BIAS_VARIANCE = 0.01
_TEST_BATCH = 500
# The ridge, relative to the mean diagonal of the kernel matrix (the authors' public code).
_RIDGE = 1e-6


def tangent_kernel(x: Tensor, y: Tensor | None = None) -> Tensor:
    """Return the NTK of every pair of images: (n, D), (m, D) -> (n, m).

    Args:
        x: flat images, (n, D).
        y: flat images, (m, D); None pairs ``x`` with itself, with an exact and differentiable diagonal.
    """
    others = x if y is None else y
    first = _layer(x @ others.T / x.shape[1])
    own, others_own = (_layer(z.square().mean(1)) for z in (x, others))
    norms = (own[:, None] * others_own[None, :]).sqrt()
    # The slope of the angle is infinite at an angle of 0, as between an image and itself.
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
    """Return the predictions of kernel ridge regression; differentiable in all arguments.

    Args:
        support: the images of the regression, flat (n, D).
        targets: the targets of the support, (n, C).
        images: the images to predict, flat (m, D).

    Returns:
        (m, C).
    """
    return regression(tangent_kernel(support), tangent_kernel(images, support), targets)


def regression(own: Tensor, across: Tensor, targets: Tensor) -> Tensor:
    """Return the predictions of ridge regression, (m, C).

    Args:
        own: the kernel matrix of the support, (n, n).
        across: the kernel matrix of the images with the support, (m, n).
        targets: the targets of the support, (n, C).
    """
    return across @ _coefficients(own, targets)


def _coefficients(own: Tensor, targets: Tensor) -> Tensor:
    ridge = _RIDGE * own.trace() / len(own)
    factor = torch.linalg.cholesky(own + ridge * torch.eye(len(own), dtype=own.dtype, device=own.device))
    return torch.cholesky_solve(targets, factor)


@dataclass(frozen=True)
class Fitted:
    """A fitted kernel ridge regression, in float64.

    Attributes:
        support: the images of the fit, flat (n, D), on the device.
        coefficients: one coefficient per image and class, (n, C).
    """

    support: Tensor
    coefficients: Tensor

    def accuracy(self, split: Split) -> float:
        """Return its top-1 accuracy on a split, in percent."""
        device, correct = self.support.device, 0
        labels = torch.as_tensor(split.labels).to(device)
        for rows in torch.arange(len(split)).split(_TEST_BATCH):
            images = split.batch(rows, device).flatten(1).to(self.support.dtype)
            predicted = tangent_kernel(images, self.support) @ self.coefficients
            correct += int((predicted.argmax(1) == labels[rows.to(device)]).sum())
        return 100 * correct / len(split)


def fit(samples: Samples, classes: int, device: Device) -> Fitted:
    """Fit a regression to images and their labels, hard or soft.

    Args:
        samples: the images and labels; their kernel matrix, N x N, is held in memory.
        classes: number of classes.
        device: where to compute.
    """
    rows = torch.arange(len(samples))
    support = samples.batch(rows).to(device.torch_device, torch.float64).flatten(1)
    targets = targets_of(samples.labels.to(support.device), classes, support.dtype)
    return Fitted(support, _coefficients(tangent_kernel(support), targets))


def targets_of(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return regression targets, (n, classes): soft labels minus 1/classes.

    Args:
        labels: int64 (n,), or soft labels (n, classes), which need not be probabilities.
        classes: number of classes.
        dtype: the type of the result.
    """
    rows = torch.nn.functional.one_hot(labels, classes) if labels.ndim == 1 else labels
    return rows.to(dtype) - 1 / classes
