"""Layers of convolutional generators and discriminators, and the sizes of their maps."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int]

_SMALLEST = 4


def doublings(size: Size) -> int:
    """Return the number of doublings, at least 1, from maps with sides of about 4 pixels to an image."""
    return max(1, math.ceil(math.log2(max(size) / _SMALLEST)))


def first_size(size: Size) -> Size:
    """Return the size of the first maps, whose doublings cover an image of this size."""
    scale = 2 ** doublings(size)
    return math.ceil(size[0] / scale), math.ceil(size[1] / scale)


def cut(images: Tensor, size: Size) -> Tensor:
    """Cut images, (..., H, W), to their center of this size."""
    top, left = (images.shape[-2] - size[0]) // 2, (images.shape[-1] - size[1]) // 2
    return images[..., top : top + size[0], left : left + size[1]]


class Spectral(nn.Module):
    """Mixin of a layer that divides its weight by the largest singular value (Miyato et al. 2018).

    The weight is taken as a matrix (out, ...). Every forward pass in training mode does one step of the power
    iteration, which continues from the buffer ``u``.
    """

    weight: Tensor
    u: Tensor

    def start(self) -> None:
        """Add the vector of the power iteration; call this after the constructor of the layer."""
        self.register_buffer("u", torch.zeros(len(self.weight)))

    def normalized(self) -> Tensor:
        """Return the weight divided by the current estimate of its largest singular value."""
        # The singular value needs more precision than the forward pass.
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                v = F.normalize(self.u @ matrix, dim=0)
                u = F.normalize(matrix @ v, dim=0)
                if self.training:
                    self.u.copy_(u)
            return self.weight / torch.dot(u, matrix @ v)


class SpectralConv2d(Spectral, nn.Conv2d):
    """A convolution that keeps the size of its maps, with spectral normalization."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.start()

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve (N, inputs, H, W) to (N, outputs, H, W)."""
        return self._conv_forward(maps, self.normalized(), self.bias)


class SpectralLinear(Spectral, nn.Linear):
    """A linear layer with spectral normalization."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.start()

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs) to (N, outputs)."""
        return F.linear(features, self.normalized(), self.bias)


class SpectralEmbedding(Spectral, nn.Embedding):
    """A vector for each class, with spectral normalization."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__(classes, size)
        self.start()

    def forward(self, labels: Tensor) -> Tensor:
        """Return the vectors of int64 (N,), (N, size)."""
        return F.embedding(labels, self.normalized())


class ConditionalBatchNorm(nn.Module):
    """Batch norm whose scale and shift are those of the image's class (Dumoulin et al. 2017)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale, self.shift = nn.Embedding(classes, channels), nn.Embedding(classes, channels)

    def forward(self, maps: Tensor, labels: Tensor) -> Tensor:
        """Normalize (N, C, H, W) of classes int64 (N,)."""
        maps = self.norm(maps)
        scale, shift = (table(labels)[..., None, None].to(maps.dtype) for table in (self.scale, self.shift))
        return torch.addcmul(shift, maps, scale)


@torch.no_grad()
def initialize(module: nn.Module, stream: torch.Generator) -> None:
    """Give a module new weights, in place, drawn from a CPU generator only.

    Weights are normal with standard deviation 0.02 and biases zero, as in the public code of BigGAN for
    CIFAR; class-conditional batch norm starts as the identity.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.Embedding):
            part.weight.copy_(0.02 * torch.randn(part.weight.shape, generator=stream))
        if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
            part.bias.zero_()
        if isinstance(part, Spectral):
            part.u.copy_(F.normalize(torch.randn(part.u.shape, generator=stream), dim=0))
    for part in module.modules():
        if isinstance(part, ConditionalBatchNorm):
            part.scale.weight.fill_(1)
            part.shift.weight.zero_()
        if isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
