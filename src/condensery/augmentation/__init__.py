"""Augmentation: differentiable Siamese augmentation (``siamese``) and that of DC's evaluation (``dc``)."""

from __future__ import annotations

import torch
from torch import Tensor

from condensery.augmentation import dc, siamese

__all__ = ["augment"]


def augment(images: Tensor, augmentation: str, stream: torch.Generator) -> Tensor:
    """Augment the images (n, C, H, W) of a batch, each image with parameters of its own.

    Args:
        images: normalized, float32.
        augmentation: a DSA strategy, or ``dc_`` and families of :mod:`condensery.augmentation.dc`.
        stream: where the parameters are drawn from.
    """
    if augmentation.startswith(dc.PREFIX):
        return dc.augment(images, augmentation, stream)
    return siamese.apply(images, siamese.draw(augmentation, len(images), images.shape[-2:], stream))
