"""Stochastic gradient descent as ``torch.optim.SGD`` computes it, to the bit, in a job's own time.

PyTorch's optimizers import its compiler when they are created, which costs every job that trains four
seconds on a slow core.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class SGD:
    """Momentum and weight decay, for parameters that all have a gradient.

    Attributes:
        lr: the learning rate.
        momenta: one tensor per parameter, in their order; none before the first step or without momentum.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        """Begin without momenta.

        Args:
            parameters: tensors, which are changed in place.
            lr: the learning rate.
            momentum: the share of its momentum that a parameter keeps in each step.
            weight_decay: the share of a parameter that is added to its gradient.
        """
        self.lr = lr
        self.momenta: list[Tensor] = []
        self._parameters = list(parameters)
        self._momentum, self._weight_decay = momentum, weight_decay

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters along their gradients."""
        change: list[Tensor] | tuple[Tensor, ...]
        change = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if self._weight_decay:
            change = torch._foreach_add(change, self._parameters, alpha=self._weight_decay)
        if self._momentum:
            if self.momenta:
                torch._foreach_mul_(self.momenta, self._momentum)
                torch._foreach_add_(self.momenta, change)
            else:
                self.momenta = [tensor.clone() for tensor in change]
            change = self.momenta
        torch._foreach_add_(self._parameters, change, alpha=-self.lr)
