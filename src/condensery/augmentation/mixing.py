"""CutMix (Yun et al. 2019) and Mixup (Zhang et al. 2018).

Each image of a batch is mixed with another image of the batch, and its label with the other's label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mix:
    """How batches are mixed.

    Attributes:
        kind: ``cutmix``, which replaces a box of the image by that of the other; or ``mixup``, the weighted
            mean of both.
        p: the probability that a batch is mixed.
        beta: both parameters of the beta distribution from which the image's own share is drawn.
    """

    kind: str
    p: float
    beta: float


@dataclass(frozen=True)
class Draw:
    """The mixing of one batch: share and box are the same for all of its images.

    Attributes:
        partners: the index of each image's partner: a permutation, int64 (n,).
        share: the weight of the image itself in the label and, for Mixup, in the pixels: 0 to 1.
        box: for CutMix, (top, bottom, left, right) in pixels: the region that is the partner's.
    """

    partners: Tensor
    share: float
    box: tuple[int, int, int, int] | None


def draw(mix: Mix, count: int, size: Sequence[int], generator: torch.Generator) -> Draw | None:
    """Draw the mixing of a batch; None if it is not mixed.

    Args:
        mix: kind, probability and distribution.
        count: images in the batch.
        size: height and width of the images in pixels.
        generator: a CPU generator.
    """
    if torch.rand((), generator=generator).item() >= mix.p:
        return None
    partners = torch.randperm(count, generator=generator)
    share = _beta(mix.beta, generator)
    if mix.kind == "mixup":
        return Draw(partners, share, None)
    centers = torch.rand(2, generator=generator).tolist()
    edges: list[int] = []
    for center, length in zip(centers, size, strict=True):
        half = int(length * math.sqrt(1 - share)) // 2
        middle = int(center * length)
        edges += [max(middle - half, 0), min(middle + half, length)]
    top, bottom, left, right = edges
    # Boxes are clipped at the border; the share follows from the area that is left.
    covered = (bottom - top) * (right - left) / math.prod(size)
    return Draw(partners, 1 - covered, (top, bottom, left, right))


def apply(images: Tensor, labels: Tensor, draw: Draw | None) -> tuple[Tensor, Tensor]:
    """Mix a batch.

    Args:
        images: (n, C, H, W).
        labels: float (n, classes), on the device of the images.
        draw: the mixing of this batch; None returns images and labels unchanged.

    Returns:
        The mixed images and labels; the arguments are not changed.
    """
    if draw is None:
        return images, labels
    partners = draw.partners.to(images.device)
    own, other = draw.share, 1 - draw.share
    mixed = own * labels + other * labels[partners]
    if draw.box is None:
        return own * images + other * images[partners], mixed
    top, bottom, left, right = draw.box
    images = images.clone()
    images[:, :, top:bottom, left:right] = images[partners, :, top:bottom, left:right]
    return images, mixed


def _beta(parameter: float, generator: torch.Generator) -> float:
    """Draw from a beta distribution with two equal parameters, by Johnk's rejection method (1964)."""
    while True:
        first, second = torch.rand(2, generator=generator, dtype=torch.float64).pow(1 / parameter).tolist()
        if 0 < first + second <= 1:
            return float(first / (first + second))
