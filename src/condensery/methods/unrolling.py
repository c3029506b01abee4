"""Training of a network that is differentiated through: steps of plain gradient descent, and their reverse.

Training forwards keeps the weights before each step and no graph; backwards the graph of one step at a time
is built anew, so that memory grows with the steps by their weights alone. The result is that of one graph
through all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from condensery.methods.functional import FunctionalNetwork, Weights, dot


@dataclass(frozen=True)
class Step:
    """One step: weights <- weights - rate * gradient of the mean loss of a batch.

    Attributes:
        rows: indices of the batch along the first dimension of the images; a number where a batch is one
            entry of them; none comes twice.
        labels: of the batch, int64 (n,), or probabilities (n, classes).
        rate: the learning rate.
        shown: what the network sees of the batch, such as its augmentation; called again backwards, where it
            must give the same.
    """

    rows: int | Tensor
    labels: Tensor
    rate: float
    shown: Callable[[Tensor], Tensor] = lambda batch: batch


def train(
    functional: FunctionalNetwork, weights: Weights, images: Tensor, steps: Sequence[Step]
) -> list[Weights]:
    """Return the weights before the first step and after each.

    Args:
        functional: the network.
        weights: where it begins.
        images: what the rows of the steps are of.
        steps: in their order.
    """
    path = [weights]
    for step in steps:
        change = functional.gradient(path[-1], step.shown(images[step.rows]), step.labels)
        path.append(torch._foreach_sub(path[-1], torch._foreach_mul(change, step.rate)))
    return path


def differentiate(
    functional: FunctionalNetwork,
    path: list[Weights],
    images: Tensor,
    steps: Sequence[Step],
    adjoint: Weights,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a function of the last weights with respect to the images and to each rate.

    Args:
        functional: the network.
        path: the weights before each step, as :func:`train` returns them but for the last; they are taken off
            the list one by one.
        images: as in :func:`train`.
        steps: likewise.
        adjoint: the gradient of the function with respect to the last weights.

    Returns:
        A tensor shaped like ``images``, and (steps,).
    """
    of_images, of_rates = torch.zeros_like(images), images.new_zeros(len(steps))
    for number, step in reversed(list(enumerate(steps))):
        # weights <- weights - rate * change(weights, images): the adjoint goes through it backwards.
        along, of_weights, of_batch = slope(functional, step, path.pop(), images, adjoint)
        of_rates[number] = -along
        of_images[step.rows] -= step.rate * of_batch
        adjoint = torch._foreach_sub(adjoint, torch._foreach_mul(of_weights, step.rate))
    return of_images, of_rates


def slope(
    functional: FunctionalNetwork, step: Step, weights: Weights, images: Tensor, direction: Weights
) -> tuple[Tensor, Weights, Tensor]:
    """Return the slope of a step's loss along a direction in the space of weights, and the slope's gradients.

    Args:
        functional: the network.
        step: its batch is what the loss is of.
        weights: where; not attached to any graph.
        images: what the rows of the step are of.
        direction: shaped like the weights.

    Returns:
        A scalar, its gradients with respect to the weights, and that with respect to the batch.
    """
    weights = [w.requires_grad_() for w in weights]
    batch = images[step.rows].detach().requires_grad_()
    change = functional.gradient(weights, step.shown(batch), step.labels, differentiable=True)
    along = dot(change, direction)
    *of_weights, of_batch = torch.autograd.grad(along, [*weights, batch], materialize_grads=True)
    return along.detach(), of_weights, of_batch
