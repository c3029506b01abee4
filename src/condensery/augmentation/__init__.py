"""Augmentation: differentiable Siamese augmentation (``siamese``) and that of DC's evaluation (``dc``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from condensery.augmentation import dc, siamese, tables
from condensery.machine.transfer import Parcel

__all__ = ["Batches", "Change", "drawn", "drawn_for_batches", "drawn_for_each"]


Batches = Sequence[Tensor] | Tensor
"""K batches of images: each (n, C, H, W) with an n of its own, or all of the same size, (K, n, C, H, W)."""

Change = Callable[[Batches], Tensor]
"""Augments batches, each as a whole, and returns all their images, (N, C, H, W)."""


def drawn(
    augmentation: str, shape: Sequence[int], streams: Sequence[torch.Generator], parcel: Parcel
) -> Callable[[Tensor], Tensor]:
    """Return a function that augments K batches (K, n, C, H, W), each image with its own parameters.

    Args:
        augmentation: a DSA strategy, or ``dc_`` and families of :mod:`condensery.augmentation.dc`.
        shape: the shape of each batch, (n, C, H, W).
        streams: one stream per batch, from which its parameters are drawn.
        parcel: transfers the parameters to the device of the images. The caller closes it before the function
            is called.
    """
    if augmentation.startswith(dc.PREFIX):
        of_dc = dc.added([dc.draw(augmentation, shape, stream) for stream in streams], parcel)
        return lambda images: torch.stack([dc.apply(*each) for each in zip(images, of_dc(), strict=True)])
    size = shape[-2:]
    draws = [siamese.draw(augmentation, shape[0], size, stream) for stream in streams]
    if parcel.device.type == "cpu":
        return lambda images: torch.stack([siamese.apply(*each) for each in zip(images, draws, strict=True)])
    found = _spread(draws, augmentation, size, parcel)
    return lambda images: tables.apply(images.flatten(0, 1)[:, None], found()).view(images.shape)


def drawn_for_each(
    strategy: str, size: Sequence[int], streams: Sequence[torch.Generator], parcel: Parcel
) -> Change:
    """Return a function that augments K batches, each as a whole, with parameters that are drawn now.

    Called again with other batches, it applies the same parameters, as Siamese augmentation needs.

    Args:
        strategy: a DSA strategy.
        size: height and width of the images in pixels.
        streams: one stream per batch, from which its parameters are drawn.
        parcel: see :func:`drawn`.
    """
    draws = [siamese.draw(strategy, 1, size, stream) for stream in streams]

    def one_by_one(batches: Batches) -> Tensor:
        return torch.cat([siamese.apply(batch, draw) for batch, draw in zip(batches, draws, strict=True)])

    if parcel.device.type == "cpu":
        return one_by_one
    found = _spread(draws, strategy, size, parcel)

    def at_once(batches: Batches) -> Tensor:
        if not isinstance(batches, Tensor):
            if len({len(batch) for batch in batches}) > 1:  # such as the real images of small classes
                return one_by_one(batches)
            batches = torch.stack(list(batches))
        return tables.apply(batches, found()).flatten(0, 1)

    return at_once


def drawn_for_batches(
    strategy: str,
    counts: Sequence[int],
    size: Sequence[int],
    streams: Sequence[torch.Generator],
    parcel: Parcel,
) -> Callable[[Tensor], Tensor]:
    """Return a function that augments concatenated batches, each image with its own parameters.

    Args:
        strategy: a DSA strategy.
        counts: images per batch. The function takes N = sum(counts) images, (N, C, H, W).
        size: height and width of the images in pixels.
        streams: one stream per batch, from which its parameters are drawn.
        parcel: see :func:`drawn`.
    """
    draws = [
        siamese.draw(strategy, count, size, stream) for count, stream in zip(counts, streams, strict=True)
    ]
    if parcel.device.type == "cpu":
        counts = list(counts)
        return lambda images: torch.cat(
            [siamese.apply(*each) for each in zip(images.split(counts), draws, strict=True)]
        )
    found = _spread(draws, strategy, size, parcel)
    return lambda images: tables.apply(images[:, None], found())[:, 0]


def _spread(
    draws: Sequence[siamese.Draw], strategy: str, size: Sequence[int], parcel: Parcel
) -> Callable[[], list[tables.Table]]:
    """Return a function that returns the tables of the draws on the parcel's device, ready to be applied."""
    found = tables.of(draws, strategy, size)
    take_out = parcel.add([values for table in found for values in table.values()])

    @cache
    def spread() -> list[tables.Table]:
        values = iter(take_out())
        return tables.spread([{name: next(values) for name in table} for table in found])

    return spread
