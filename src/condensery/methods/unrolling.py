"""Differentiation through the training of a network by steps of plain gradient descent.

The forward pass keeps the weights before each step, and the graphs of a chosen number of last steps. The
backward pass builds the graphs of all other steps again, one at a time, so that each of these steps costs
only the memory of its weights. The result is that of one graph through all steps.
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
        rows: indices of the batch along the first dimension of the images, without repetition; or a number,
            if the batch is one entry of that dimension.
        labels: labels of the batch, int64 (n,), or probabilities (n, classes).
        rate: the learning rate.
        shown: maps the batch to what the network sees, such as its augmentation. The backward pass calls it
            again, and it must return the same.
    """

    rows: int | Tensor
    labels: Tensor
    rate: float
    shown: Callable[[Tensor], Tensor] = lambda batch: batch


class Graph:
    """The gradient of a step's loss with respect to the weights, and how it depends on them and on the batch.

    Attributes:
        change: the gradient, detached.
    """

    def __init__(self, functional: FunctionalNetwork, step: Step, weights: Weights, images: Tensor) -> None:
        """Compute the gradient.

        Args:
            functional: the network.
            step: the step, whose batch determines the loss.
            weights: the weights before the step, detached.
            images: the images to which the rows of the step refer.
        """
        self._weights = [w.detach().requires_grad_() for w in weights]
        self._batch = images[step.rows].detach().requires_grad_()
        shown = step.shown(self._batch)
        self._change = functional.gradient(self._weights, shown, step.labels, differentiable=True)
        self.change: Weights = [change.detach() for change in self._change]

    def slope(self, direction: Weights) -> tuple[Tensor, Weights, Tensor]:
        """Return the slope of the loss along a direction in the space of weights, and the slope's gradients.

        This frees the graph.

        Args:
            direction: tensors shaped like the weights.

        Returns:
            A scalar, its gradients with respect to the weights, and that with respect to the batch.
        """
        along = dot(self._change, direction)
        leaves = [*self._weights, self._batch]
        *of_weights, of_batch = torch.autograd.grad(along, leaves, materialize_grads=True)
        return along.detach(), of_weights, of_batch


@dataclass(frozen=True)
class Path:
    """The result of the forward pass.

    Attributes:
        weights: the weights before the first step and after each step.
        graphs: the graphs of the last steps, in their order.
    """

    weights: list[Weights]
    graphs: list[Graph]


def train(
    functional: FunctionalNetwork, weights: Weights, images: Tensor, steps: Sequence[Step], graphs: int = 0
) -> Path:
    """Train for some steps, the forward pass.

    Args:
        functional: the network.
        weights: the initial weights.
        images: the images to which the rows of the steps refer.
        steps: the steps, in their order.
        graphs: the largest number of graphs that are kept. Each saves a forward and a backward pass later,
            and takes memory.
    """
    path = Path([weights], [])
    for number, step in enumerate(steps):
        here = path.weights[-1]
        if number < len(steps) - graphs:
            change = functional.gradient(here, step.shown(images[step.rows]), step.labels)
        else:
            path.graphs.append(Graph(functional, step, here, images))
            change = path.graphs[-1].change
        path.weights.append(torch._foreach_sub(here, torch._foreach_mul(change, step.rate)))
    return path


def differentiate(
    functional: FunctionalNetwork,
    path: Path,
    images: Tensor,
    steps: Sequence[Step],
    adjoint: Weights,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a function of the last weights with respect to the images and to each rate.

    Args:
        functional: the network.
        path: the result of :func:`train` without the last weights. Weights and graphs are removed from its
            lists once they have been used.
        images: see :func:`train`.
        steps: see :func:`train`.
        adjoint: the gradient of the function with respect to the last weights.

    Returns:
        A tensor shaped like ``images``, and (steps,).
    """
    of_images, of_rates = torch.zeros_like(images), images.new_zeros(len(steps))
    for number, step in reversed(list(enumerate(steps))):
        # The adjoint is propagated backwards through weights <- weights - rate * change(weights, images).
        weights = path.weights.pop()
        graph = path.graphs.pop() if path.graphs else Graph(functional, step, weights, images)
        along, of_weights, of_batch = graph.slope(adjoint)
        of_rates[number] = -along
        of_images[step.rows] -= step.rate * of_batch
        adjoint = torch._foreach_sub(adjoint, torch._foreach_mul(of_weights, step.rate))
    return of_images, of_rates
