"""The base of every network, a body that embeds and a linear classifier; and layers shared by families."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn

from condensery.errors import CondenseryError

# Height and width of maps in pixels.
Size = tuple[int, int]

ACTIVATIONS = (nn.Sigmoid, nn.ReLU, nn.LeakyReLU, nn.SiLU)


class Network(nn.Module):
    """A body whose flattened output is the embedding, followed by one linear classifier.

    Attributes:
        body: maps images (N, C, H, W) to the last features, of any shape (N, ...).
        features: F, the number of features of one image.
        classifier: the linear layer from F features to the classes.
        lecun: whether its initial parameters are LeCun's, see `condensery.networks.initialize`.
    """

    lecun = False

    def __init__(self, body: nn.Module, features: int, classes: int) -> None:
        """Join a body and a new classifier.

        Args:
            body: maps images (N, C, H, W) to features of any shape (N, ...).
            features: F, the number of features per image.
            classes: number of classes.
        """
        super().__init__()
        self.body = body
        self.features = features
        self.classifier = nn.Linear(features, classes)

    def embed(self, images: Tensor) -> Tensor:
        """Return the features before the classifier, (N, F), of images (N, C, H, W)."""
        return self.body(images).flatten(1)

    def maps(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the maps after each activation, (N, C, H, W), in order, and the features, (N, F).

        This needs a network whose `maps_given` is not 0.
        """
        found: list[Tensor] = []
        given = self.maps_given()
        for layer in self.body.children():
            images = layer(images)
            if isinstance(layer, ACTIVATIONS) and len(found) < given:
                found.append(images)
        return found, images.flatten(1)

    def maps_given(self) -> int:
        """Return the number of maps that `maps` returns: 0 if the body is not a sequence of plain layers."""
        layers = list(self.body.children()) if isinstance(self.body, nn.Sequential) else []
        if any(list(layer.children()) for layer in layers):
            return 0
        convolving = itertools.takewhile(lambda layer: not isinstance(layer, nn.Flatten), layers)
        return sum(isinstance(layer, ACTIVATIONS) for layer in convolving)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (N, classes), of images (N, C, H, W)."""
        return self.classifier(self.embed(images))


def normalization(kind: str, channels: int, size: Size) -> list[nn.Module]:
    """Return the normalization layer for maps, as a list of one or no layer.

    Args:
        kind: ``in``, ``bn``, ``ln``, ``gn`` or ``nonorm``. Instance norm is ``GroupNorm(C, C)``, group norm
            has four groups, layer norm has one weight per element; all are affine (the authors' public code).
        channels: number of channels C.
        size: height and width of the maps in pixels.

    Raises:
        CondenseryError: group norm on a number of channels that is not a multiple of four.
    """
    if kind == "nonorm":
        return []
    if kind == "bn":
        return [nn.BatchNorm2d(channels)]
    if kind == "ln":
        return [nn.LayerNorm([channels, *size])]
    if kind == "gn" and channels % 4:
        raise CondenseryError(f"group norm has 4 groups, which do not divide the width {channels}: change it")
    return [nn.GroupNorm(channels if kind == "in" else 4, channels)]


class PaddedConvolution(nn.Conv2d):
    """A convolution whose padding is larger than half of its kernel; the results are those of its base.

    PyTorch's library for CPUs takes two to five times as long for the weights' gradient of such a padding as
    for that of images which were padded before.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps of images (N, C, H, W)."""
        if images.requires_grad or not self.weight.requires_grad:
            return super().forward(images)  # faster here, because of the images' own gradient
        half = self.kernel_size[0] // 2
        assert isinstance(self.padding, tuple)
        border = self.padding[0] - half
        return F.conv2d(F.pad(images, (border,) * 4), self.weight, self.bias, padding=half)


def first_convolution(channels: int, size: Size, width: int, kernel: int) -> nn.Conv2d:
    """Return the first convolution of a network, with stride 1.

    Gray images of 28 x 28 get two more pixels, so that they become maps of 32 x 32 (the authors' public
    code); images of any other shape keep their size.

    Args:
        channels: channels of the images.
        size: height and width of the images in pixels.
        width: channels of the maps.
        kernel: the side of the kernel, odd.
    """
    if first_size(channels, size) == size:
        return nn.Conv2d(channels, width, kernel, padding=kernel // 2)
    return PaddedConvolution(channels, width, kernel, padding=kernel // 2 + 2)


def first_size(channels: int, size: Size) -> Size:
    """Return the size of the maps after `first_convolution`."""
    return (32, 32) if channels == 1 and size == (28, 28) else size


def can_halve(size: Size, *, last: bool) -> bool:
    """Say whether maps of this size may be halved.

    A pooling is left out if it would leave less than one pixel or, before the last pooling of a network, less
    than two: instance norm over a single pixel is constant and would erase all information. For images of
    32 x 32 or more this changes no network of the papers.

    Args:
        size: height and width of the maps in pixels.
        last: whether this is the last pooling of the network.
    """
    return min(size) // 2 >= (1 if last else 2)


def halved(size: Size) -> Size:
    """Return the size after a pooling of 2 x 2 with stride 2."""
    return size[0] // 2, size[1] // 2
