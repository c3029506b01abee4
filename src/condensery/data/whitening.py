"""ZCA whitening of a data set: fitted to its training images, applied to every image that networks see."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from condensery.errors import CondenseryError

FILE = "whitening.npy"
"""Of a prepared folder: float32 (D + 1, D), the mean of the flat normalized images, and the matrix."""


@dataclass(frozen=True)
class Zca:
    """A whitening: flat normalized images minus their mean, times a symmetric matrix.

    Attributes:
        digest: see `definition`; equal digests mean equal whitenings.
        path: the file.
    """

    digest: str
    path: Path = field(compare=False)

    def apply(self, images: Tensor) -> Tensor:
        """Whiten images.

        Args:
            images: normalized images, float32 (..., C, H, W).

        Returns:
            float32 of the same shape.

        Raises:
            CondenseryError: the file is absent or damaged, or belongs to images of another size.
        """
        mean, matrix = _on(self, images.device)
        flat = images.flatten(-3)
        if flat.shape[-1] != len(mean):
            raise CondenseryError(
                f"{self.path}: whitens images of {len(mean)} values, not of {flat.shape[-1]}; give images of "
                "the data set's size"
            )
        return ((flat - mean) @ matrix).reshape(images.shape)


@lru_cache(maxsize=4)
def _on(zca: Zca, device: torch.device) -> tuple[Tensor, Tensor]:
    values = torch.from_numpy(np.load(zca.path, allow_pickle=False)).to(device)
    return values[0], values[1:]


def definition(
    train: str, mean: tuple[float, ...], std: tuple[float, ...], *, ridge: float, relative: bool
) -> str:
    """Return the digest of what a whitening is computed from.

    The last digits of the matrix differ between machines and do not enter the digest: a set that was
    condensed on one machine belongs to the data set that another prepares.

    Args:
        train: checksum of the training images.
        mean: see `fitted`.
        std: see `fitted`.
        ridge: see `fitted`.
        relative: see `fitted`.
    """
    text = json.dumps([train, list(mean), list(std), float(ridge), relative])
    return hashlib.sha256(text.encode()).hexdigest()


def fitted(
    pieces: Iterable[np.ndarray],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    ridge: float,
    relative: bool,
) -> bytes:
    """Return the whitening of images as the content of a `FILE`; computed in float64.

    The matrix is U (S + r)^(-1/2) U', where U S U' is the covariance over the images, with divisor n - 1.

    Args:
        pieces: the training images, uint8 (n, C, H, W), a few at a time.
        mean: per channel, in units of [0, 1]; images are normalized before.
        std: per channel, likewise.
        ridge: r, added to the eigenvalues: 0.1 in MTT, whose channels are not normalized.
        relative: whether r is ``ridge`` times the mean eigenvalue, as in KIP and FRePo, where it is 0.1, too.
    """
    count, total, products = 0, np.zeros(0), np.zeros((0, 0))
    column = [np.array(values).reshape(-1, 1, 1) for values in (mean, std)]
    for piece in pieces:
        flat = ((piece / 255 - column[0]) / column[1]).reshape(len(piece), -1)
        if not count:
            total, products = np.zeros(flat.shape[1]), np.zeros((flat.shape[1], flat.shape[1]))
        count += len(flat)
        total += flat.sum(0)
        products += flat.T @ flat
    center = total / count
    covariance = (products - count * np.outer(center, center)) / max(1, count - 1)
    values, vectors = np.linalg.eigh(covariance)
    added = ridge * (np.trace(covariance) / len(covariance) if relative else 1)
    # Rounding makes eigenvalues of 0 slightly negative.
    matrix = (vectors / np.sqrt(np.maximum(values, 0) + added)) @ vectors.T
    stream = io.BytesIO()
    np.save(stream, np.vstack([center[None], matrix]).astype(np.float32))
    return stream.getvalue()
