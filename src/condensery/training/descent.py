"""SGD, Adam and AdamW with results equal to ``torch.optim``, to the bit; and LAMB.

PyTorch's own optimizers import its compiler when they are created, which takes four seconds per job on a slow
core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Optimizer(Protocol):
    """An optimizer: it changes parameters along their gradients.

    Attributes:
        lr: the learning rate.
        momentum: of SGD, or the first beta of Adam.
    """

    lr: float
    momentum: float

    def zero_grad(self) -> None:
        """Delete the gradients."""
        ...

    def step(self) -> None:
        """Change the parameters along their gradients."""
        ...

    def state(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Return the state, with the names of the parameters in the keys."""
        ...

    def restore(self, state: dict[str, Tensor], names: Sequence[str]) -> None:
        """Restore what :meth:`state` returned."""
        ...


class SGD:
    """SGD with momentum and weight decay, for parameters that all have a gradient.

    Attributes:
        lr: the learning rate.
        momentum: the factor by which the momentum of a parameter is multiplied in each step.
        momenta: one tensor per parameter, in their order; empty before the first step or without momentum.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        """Begin without momenta.

        Args:
            parameters: tensors, which are changed in place.
            lr: the learning rate.
            momentum: the factor by which the momentum of a parameter is multiplied in each step.
            weight_decay: the multiple of a parameter that is added to its gradient.
        """
        self.lr = lr
        self.momenta: list[Tensor] = []
        self._parameters = list(parameters)
        self.momentum, self._weight_decay = momentum, weight_decay

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters along their gradients."""
        change: list[Tensor] | tuple[Tensor, ...]
        change = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if self._weight_decay:
            change = torch._foreach_add(change, self._parameters, alpha=self._weight_decay)
        if self.momentum:
            if self.momenta:
                torch._foreach_mul_(self.momenta, self.momentum)
                torch._foreach_add_(self.momenta, change)
            else:
                self.momenta = [tensor.clone() for tensor in change]
            change = self.momenta
        torch._foreach_add_(self._parameters, change, alpha=-self.lr)

    def state(self, names: Sequence[str]) -> dict[str, Tensor]:
        """See :class:`Optimizer`; without a first step or without momentum there is nothing."""
        return _named("momentum", names, self.momenta)

    def restore(self, state: dict[str, Tensor], names: Sequence[str]) -> None:
        """See :class:`Optimizer`."""
        self.momenta = _of_names("momentum", names, state, self._parameters)


class Adam:
    """Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019).

    For parameters that all have a gradient.

    Attributes:
        lr: the learning rate.
        momentum: the first beta, the decay of the mean gradients.
        momenta: mean gradients, one tensor per parameter.
        squares: mean squared gradients, one tensor per parameter.
        steps: number of steps.
    """

    _SQUARES = 0.999
    _EPSILON = 1e-8

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        momentum: float,
        weight_decay: float,
        *,
        decoupled: bool,
    ) -> None:
        """Begin with means of zero.

        Args:
            parameters: tensors, which are changed in place.
            lr: the learning rate.
            momentum: the first beta, the decay of the mean gradients; the second is 0.999.
            weight_decay: the multiple of a parameter that is added to its gradient; or, if decoupled, the
                share, times the learning rate, by which the parameter shrinks before the step.
            decoupled: whether weight decay is decoupled from the gradient, as in AdamW.
        """
        self.lr = lr
        self._parameters = list(parameters)
        self.momentum, self._weight_decay, self._decoupled = momentum, weight_decay, decoupled
        self.momenta = [torch.zeros_like(tensor) for tensor in self._parameters]
        self.squares = [torch.zeros_like(tensor) for tensor in self._parameters]
        self.steps = 0

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters along their gradients."""
        change: list[Tensor] | tuple[Tensor, ...]
        change = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if self._weight_decay and self._decoupled:
            torch._foreach_mul_(self._parameters, 1 - self.lr * self._weight_decay)
        elif self._weight_decay:
            change = torch._foreach_add(change, self._parameters, alpha=self._weight_decay)
        spread = self._spread(change)
        share = self.lr / (1 - self.momentum**self.steps)
        torch._foreach_addcdiv_(self._parameters, self.momenta, spread, -share)

    def _spread(self, change: list[Tensor] | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Update both means with the gradients, and return the denominators of the mean gradients."""
        self.steps += 1
        torch._foreach_lerp_(self.momenta, change, 1 - self.momentum)
        torch._foreach_mul_(self.squares, self._SQUARES)
        torch._foreach_addcmul_(self.squares, change, change, 1 - self._SQUARES)
        # Bias correction: both means begin at zero.
        spread = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(spread, math.sqrt(1 - self._SQUARES**self.steps))
        torch._foreach_add_(spread, self._EPSILON)
        return spread

    def state(self, names: Sequence[str]) -> dict[str, Tensor]:
        """See :class:`Optimizer`."""
        means = _named("momentum", names, self.momenta) | _named("square", names, self.squares)
        return means | {"steps": torch.tensor(self.steps)}

    def restore(self, state: dict[str, Tensor], names: Sequence[str]) -> None:
        """See :class:`Optimizer`."""
        self.momenta = _of_names("momentum", names, state, self._parameters)
        self.squares = _of_names("square", names, state, self._parameters)
        self.steps = int(state["steps"])


class Lamb(Adam):
    """LAMB (You et al. 2020): Adam, with each step as long as the rate times the length of the tensor."""

    _EPSILON = 1e-6

    def __init__(self, parameters: Sequence[Tensor], lr: float, momentum: float) -> None:
        """Begin with means of zero.

        Args:
            parameters: tensors, which are changed in place; each is scaled by its own length.
            lr: the learning rate.
            momentum: see :class:`Adam`.
        """
        super().__init__(parameters, lr, momentum, 0.0, decoupled=False)

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters along their gradients."""
        spread = self._spread([tensor.grad for tensor in self._parameters if tensor.grad is not None])
        changes = torch._foreach_div(self.momenta, spread)
        torch._foreach_div_(changes, 1 - self.momentum**self.steps)
        for tensor, change in zip(self._parameters, changes, strict=True):
            length, wanted = change.norm(), tensor.norm()
            ratio = torch.where((length > 0) & (wanted > 0), wanted / length, 1.0)
            tensor.sub_(change * (self.lr * ratio))


def _named(what: str, names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{what} of {name}": tensor for name, tensor in zip(names, tensors, strict=False)}


def _of_names(
    what: str, names: Sequence[str], state: dict[str, Tensor], parameters: Sequence[Tensor]
) -> list[Tensor]:
    return [
        state[f"{what} of {name}"].to(parameter.device)
        for name, parameter in zip(names, parameters, strict=True)
        if f"{what} of {name}" in state
    ]
