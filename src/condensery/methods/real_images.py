"""Real images in a synthetic set: which are drawn, and how they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from condensery import streams
from condensery.data import Split
from condensery.formation import encode


def drawn(train: Split, c: int, count: int, generator: torch.Generator) -> np.ndarray:
    """Return indices of at most ``count`` images of a class, uniform without replacement: int64, (n,)."""
    pool = train.indices_of(c)
    return pool[torch.randperm(len(pool), generator=generator)[:count].numpy()]


def first_drawn(train: Split, c: int, count: int, seed: int) -> np.ndarray:
    """Return what :func:`drawn` does for the images of a class that a set of this seed begins with."""
    return drawn(train, c, count, streams.generator(seed, "initial-images", c))


def stored(train: Split, indices: Sequence[np.ndarray], formation: int, device: torch.device) -> Tensor:
    """Return images as a set stores them, float32 (N, C, H, W).

    Args:
        train: the training images.
        indices: for each class those of its images, int64 (ipc * formation**2,).
        formation: parts along each side of a stored image, see :mod:`condensery.formation`.
        device: where the images are to be.
    """
    images = train.batch(np.concatenate(indices), device)
    if formation == 1:
        return images
    of_classes = images.split([len(each) for each in indices])
    return torch.cat([encode(each, formation) for each in of_classes if len(each)])
