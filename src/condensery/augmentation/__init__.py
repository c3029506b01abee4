"""Augmentation: differentiable Siamese augmentation (``siamese``) and that of DC's evaluation (``dc``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from condensery.augmentation import dc, siamese, tables

__all__ = ["augment", "drawn", "drawn_for_each"]


def augment(images: Tensor, augmentation: str, streams: Sequence[torch.Generator]) -> Tensor:
    """Augment the images (K, n, C, H, W) of K batches, each image with parameters of its own.

    Args:
        images: normalized, float32.
        augmentation: a DSA strategy, or ``dc_`` and families of :mod:`condensery.augmentation.dc`.
        streams: where the parameters of each batch are drawn from.
    """
    return drawn(augmentation, images.shape[1:], streams, images.device)(images)


def drawn(
    augmentation: str, shape: Sequence[int], streams: Sequence[torch.Generator], device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return what augments K batches as :func:`augment` does, with its parameters drawn.

    Args:
        augmentation: see :func:`augment`.
        shape: of each batch, (n, C, H, W).
        streams: see :func:`augment`.
        device: of the images.
    """
    if augmentation.startswith(dc.PREFIX):
        of_dc = [dc.draw(augmentation, shape, stream) for stream in streams]

        def augmented_as_in_dc(images: Tensor) -> Tensor:
            own = dc.moved(of_dc, device)
            return torch.stack([dc.apply(*each) for each in zip(images, own, strict=True)])

        return augmented_as_in_dc
    size = shape[-2:]
    draws = [siamese.draw(augmentation, shape[0], size, stream) for stream in streams]
    if device.type == "cpu":
        return lambda images: torch.stack([siamese.apply(*each) for each in zip(images, draws, strict=True)])
    found = tables.of(draws, augmentation, size)

    def augmented(images: Tensor) -> Tensor:
        rows = images.flatten(0, 1)[:, None]
        return tables.apply(rows, tables.moved(found, device)).view(images.shape)

    return augmented


def drawn_for_each(
    strategy: str, size: Sequence[int], streams: Sequence[torch.Generator], device: torch.device
) -> Callable[[Sequence[Tensor]], Tensor]:
    """Return what augments K batches, each as a whole, with its parameters drawn.

    It takes the batches, each (n, C, H, W) with an n of its own, and returns all their images, (N, C, H, W).
    Given other batches it does the same to them, as Siamese augmentation needs.

    Args:
        strategy: a DSA strategy.
        size: height and width of the images in pixels.
        streams: where the parameters of each batch are drawn from.
        device: of the images.
    """
    draws = [siamese.draw(strategy, 1, size, stream) for stream in streams]

    def one_by_one(parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([siamese.apply(part, draw) for part, draw in zip(parts, draws, strict=True)])

    if device.type == "cpu":
        return one_by_one
    found = tables.of(draws, strategy, size)
    moved = cache(lambda: tables.moved(found, device))

    def together(parts: Sequence[Tensor]) -> Tensor:
        if len({len(part) for part in parts}) > 1:  # such as the real images of small classes
            return one_by_one(parts)
        return tables.apply(torch.stack(list(parts)), moved()).flatten(0, 1)

    return together
