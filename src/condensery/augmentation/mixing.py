"""CutMix (Yun et al. 2019) and Mixup (Zhang et al. 2018).

Two images of a batch become one, and so do their labels.
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
        kind: ``cutmix``, where a box of the image is that of another; or ``mixup``, a weighted mean of both.
        p: probability that a batch is mixed.
        beta: both parameters of the beta distribution of the image's own share.
    """

    kind: str
    p: float
    beta: float


@dataclass(frozen=True)
class Draw:
    """One mixing of a batch, which all of its images share.

    Attributes:
        partners: the image that each is mixed with: a permutation, int64 (n,).
        share: of the image itself, in its label and for Mixup in its pixels: 0 to 1.
        box: of CutMix: (top, bottom, left, right), whose pixels are the partner's.
    """

    partners: Tensor
    share: float
    box: tuple[int, int, int, int] | None


def draw(mix: Mix, count: int, size: Sequence[int], generator: torch.Generator) -> Draw | None:
    """Draw how a batch is mixed, or None where it is not.

    Args:
        mix: how.
        count: images in the batch.
        size: their height and width in pixels.
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
    # The border cuts some boxes off: what is left of them counts.
    covered = (bottom - top) * (right - left) / math.prod(size)
    return Draw(partners, 1 - covered, (top, bottom, left, right))


def apply(images: Tensor, labels: Tensor, draw: Draw | None) -> tuple[Tensor, Tensor]:
    """Mix a batch.

    Args:
        images: (n, C, H, W).
        labels: float (n, classes), on the device of the images.
        draw: one for these images; None leaves them as they are.

    Returns:
        Images and labels; those given stay as they are.
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
