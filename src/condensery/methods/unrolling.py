"""Training of a network that is differentiated through: steps of plain gradient descent, and their reverse.

Training forwards keeps the weights before each step, and the graphs of as many last steps as is asked for;
backwards the graph of each other step is built anew, one at a time, so that memory grows with these steps by
their weights alone. The result is that of one graph through all steps.
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


class Graph:
    """The gradient of a step's loss with respect to the weights, and how it depends on them and on the batch.

    Attributes:
        change: the gradient, in values that are attached to no graph.
    """

    def __init__(self, functional: FunctionalNetwork, step: Step, weights: Weights, images: Tensor) -> None:
        """Compute the gradient.

        Args:
            functional: the network.
            step: its batch is what the loss is of.
            weights: where; not attached to any graph.
            images: what the rows of the step are of.
        """
        self._weights = [w.detach().requires_grad_() for w in weights]
        self._batch = images[step.rows].detach().requires_grad_()
        shown = step.shown(self._batch)
        self._change = functional.gradient(self._weights, shown, step.labels, differentiable=True)
        self.change: Weights = [change.detach() for change in self._change]

    def slope(self, direction: Weights) -> tuple[Tensor, Weights, Tensor]:
        """Return the slope of the loss along a direction in the space of weights, and the slope's gradients.

        The graph is gone after it.

        Args:
            direction: shaped like the weights.

        Returns:
            A scalar, its gradients with respect to the weights, and that with respect to the batch.
        """
        along = dot(self._change, direction)
        leaves = [*self._weights, self._batch]
        *of_weights, of_batch = torch.autograd.grad(along, leaves, materialize_grads=True)
        return along.detach(), of_weights, of_batch


@dataclass(frozen=True)
class Path:
    """What training forwards keeps.

    Attributes:
        weights: those before the first step and after each.
        graphs: of the last steps, in their order.
    """

    weights: list[Weights]
    graphs: list[Graph]


def train(
    functional: FunctionalNetwork, weights: Weights, images: Tensor, steps: Sequence[Step], graphs: int = 0
) -> Path:
    """Return what training for some steps goes through.

    Args:
        functional: the network.
        weights: where it begins.
        images: what the rows of the steps are of.
        steps: in their order.
        graphs: the most that are kept. That saves a forward and a backward pass each, and takes memory.
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
        path: as :func:`train` returns it, but for the last weights; what it keeps of a step is taken off its
            lists in the step's turn.
        images: as in :func:`train`.
        steps: likewise.
        adjoint: the gradient of the function with respect to the last weights.

    Returns:
        A tensor shaped like ``images``, and (steps,).
    """
    of_images, of_rates = torch.zeros_like(images), images.new_zeros(len(steps))
    for number, step in reversed(list(enumerate(steps))):
        # weights <- weights - rate * change(weights, images): the adjoint goes through it backwards.
        weights = path.weights.pop()
        graph = path.graphs.pop() if path.graphs else Graph(functional, step, weights, images)
        along, of_weights, of_batch = graph.slope(adjoint)
        of_rates[number] = -along
        of_images[step.rows] -= step.rate * of_batch
        adjoint = torch._foreach_sub(adjoint, torch._foreach_mul(of_weights, step.rate))
    return of_images, of_rates
