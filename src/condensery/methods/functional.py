"""A network as a function of its weights, for methods that differentiate through its training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import networks, streams
from condensery.methods.base import Problem

Weights = list[Tensor] | tuple[Tensor, ...]
"""All weights of the network, in the order of its parameters; not attached to any graph."""


class FunctionalNetwork:
    """Cross-entropy of the condensing network at given weights, and its gradients.

    The network is in training mode: batch norm takes its statistics from the images of each call.

    Attributes:
        network: the module, in the floating type of the images; its own weights are not used.
    """

    def __init__(self, problem: Problem) -> None:
        """Build the network of a problem on its device."""
        self._problem = problem
        self.network = problem.new_network().train()
        self._names = [name for name, _ in self.network.named_parameters()]
        self._train = problem.training_split()
        self._targets = torch.as_tensor(self._train.labels).to(problem.device.torch_device)
        info = problem.data.info
        floats = networks.activations(self.network, info.channels, (info.height, info.width))
        self._at_once = problem.device.images_at_once(floats)

    def graphs_at_once(self, images: int) -> int:
        """Return the number of differentiable gradients, each of ``images`` images, that fit the memory."""
        # A gradient that is differentiated keeps about three times as much as a forward pass.
        return self._at_once // (3 * images)

    def initial(self, *address: int) -> Weights:
        """Return the initial weights of the network with this address."""
        networks.initialize(self.network, streams.generator(self._problem.seed, "network", *address))
        return [parameter.detach().clone() for parameter in self.network.parameters()]

    def of_vector(self, vector: Tensor) -> Weights:
        """Return weights from one vector, (P,) on any device, in the order of the module's parameters."""
        parameters = list(self.network.parameters())
        parts = vector.to(parameters[0]).split([parameter.numel() for parameter in parameters])
        return [part.view(own.shape) for part, own in zip(parts, parameters, strict=True)]

    def gradient(
        self, weights: Weights, images: Tensor, labels: Tensor, *, differentiable: bool = False
    ) -> Weights:
        """Return the gradient of the mean loss of a batch with respect to the weights.

        Args:
            weights: the weights; with ``differentiable`` they must require gradients.
            images: (n, C, H, W).
            labels: int64 (n,), or probabilities (n, classes).
            differentiable: whether the gradient can be differentiated.
        """
        leaves = weights if differentiable else [w.detach().requires_grad_() for w in weights]
        loss = F.cross_entropy(self._logits(leaves, images), labels)
        return torch.autograd.grad(loss, leaves, create_graph=differentiable)

    def real_batch(self, size: int, *address: int) -> tuple[Tensor, Tensor]:
        """Return ``size`` training images of any class, drawn without replacement, and their labels.

        Args:
            size: number of images, at most.
            address: the address of the random stream, such as the iteration.

        Returns:
            (n, C, H, W) in the floating type of the network and int64 (n,), on the device; n is ``size``, or
            the number of training images if that is smaller.
        """
        stream = streams.generator(self._problem.seed, "real", *address)
        rows = torch.randperm(len(self._train), generator=stream)[:size]
        device = self._problem.device.torch_device
        there = rows.to(device)
        # Images that lie on the host are read there.
        images = self._train.batch(there if self._train.device.type == device.type else rows, device)
        return images.to(next(self.network.parameters()).dtype), self._targets[there]

    def test(self, weights: Weights, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Weights]:
        """Test the network on a batch, in parts that fit the memory budget.

        Args:
            weights: the weights.
            images: (n, C, H, W).
            labels: int64 (n,).

        Returns:
            The mean loss, a scalar; the number of misclassified images, an int64 scalar; and the gradient of
            the mean loss, one tensor per weight.
        """
        leaves = [w.detach().requires_grad_() for w in weights]
        loss, wrong = images.new_zeros(()), torch.zeros((), dtype=torch.int64, device=images.device)
        sums: Weights = [torch.zeros_like(w) for w in leaves]
        for part, answers in zip(images.split(self._at_once), labels.split(self._at_once), strict=True):
            logits = self._logits(leaves, part)
            share = F.cross_entropy(logits, answers, reduction="sum") / len(images)
            sums = torch._foreach_add(sums, torch.autograd.grad(share, leaves))
            loss, wrong = loss + share.detach(), wrong + (logits.argmax(1) != answers).sum()
        return loss, wrong, sums

    def _logits(self, weights: Weights, images: Tensor) -> Tensor:
        named = dict(zip(self._names, weights, strict=True))
        with self._problem.device.autocast():
            logits = torch.func.functional_call(self.network, named, (images,))
        return logits.to(images.dtype)


def dot(a: Weights, b: Weights) -> Tensor:
    """Return the inner product of two sets of weights, a scalar."""
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()
