"""Real images in a synthetic set: the draw, and the stored form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from condensery import streams
from condensery.data import Split
from condensery.formation import encode


def drawn(train: Split, c: int, count: int, generator: torch.Generator) -> np.ndarray:
    """Draw images of a class uniformly without replacement.

    Args:
        train: the training images.
        c: the class.
        count: number of images, at most.
        generator: a CPU generator.

    Returns:
        Indices, int64 (n,), with n the smaller of ``count`` and the number of images of the class.
    """
    pool = train.indices_of(c)
    return pool[torch.randperm(len(pool), generator=generator)[:count].numpy()]


def first_drawn(train: Split, c: int, count: int, seed: int) -> np.ndarray:
    """Draw the initial images of a class in a set, see :func:`drawn`.

    Args:
        train: the training images.
        c: the class.
        count: number of images, at most.
        seed: the seed of the set.
    """
    return drawn(train, c, count, streams.generator(seed, "initial-images", c))


def stored(train: Split, indices: Sequence[np.ndarray], formation: int, device: torch.device) -> Tensor:
    """Return images as a set stores them, float32 (N, C, H, W).

    Args:
        train: the training images.
        indices: per class, the indices of its images, int64 (ipc * formation**2,).
        formation: parts along each side of a stored image, see :mod:`condensery.formation`.
        device: the device of the result.
    """
    images = train.batch(np.concatenate(indices), device)
    if formation == 1:
        return images
    of_classes = images.split([len(each) for each in indices])
    return torch.cat([encode(each, formation) for each in of_classes if len(each)])
