"""Augmentation: differentiable Siamese augmentation (``siamese``) and that of DC's evaluation (``dc``)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from condensery.augmentation import dc, siamese

__all__ = ["augment"]


def augment(images: Tensor, augmentation: str, streams: Sequence[torch.Generator]) -> Tensor:
    """Augment the images (K, n, C, H, W) of K batches, each image with parameters of its own.

    Args:
        images: normalized, float32.
        augmentation: a DSA strategy, or ``dc_`` and families of :mod:`condensery.augmentation.dc`.
        streams: where the parameters of each batch are drawn from.
    """
    if augmentation.startswith(dc.PREFIX):
        own = [dc.draw(augmentation, images.shape[1:], stream) for stream in streams]
        own = dc.moved(own, images.device)
        return torch.stack([dc.apply(*each) for each in zip(images, own, strict=True)])
    size = images.shape[-2:]
    draws = [siamese.draw(augmentation, images.shape[1], size, stream) for stream in streams]
    draws = siamese.moved(draws, images.device)
    return torch.stack([siamese.apply(*each) for each in zip(images, draws, strict=True)])
