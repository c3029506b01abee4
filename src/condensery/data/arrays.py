"""Real data in memory: uint8 images that become normalized floats one batch at a time."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.data.whitening import Zca
from condensery.errors import CondenseryError

# A memory map up to this size is read through the mapping. A larger one is read with pread, because pages
# that are read through a mapping stay resident, and the process would grow to the size of the file.
MAPPED_BYTES = 256 * 2**20
CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class DataInfo:
    """The description of a data set: its name, the size of its images (pixels), classes and normalization.

    ``mean`` and ``std`` have one value per channel, in units of [0, 1] intensity. ``whitening`` is applied to
    normalized images, or is None.
    """

    name: str
    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    whitening: Zca | None = None

    @property
    def whitened_by(self) -> str:
        """The digest of the whitening; "" if there is none."""
        return self.whitening.digest if self.whitening else ""

    def described(self) -> dict[str, Any]:
        """Return the description as JSON-able values."""
        fields = {key: value for key, value in vars(self).items() if key != "whitening"}
        return fields | ({"whitening": self.whitened_by} if self.whitening else {})

    def seen(self, images: Tensor) -> Tensor:
        """Return images as networks see them: normalized and, if the data set is whitened, whitened.

        Args:
            images: uint8, (..., C, H, W), on any device.

        Returns:
            float32 of the same shape on the same device; not clamped.
        """
        return self.whitened(normalize(images, self.mean, self.std))

    def whitened(self, images: Tensor) -> Tensor:
        """Return normalized images, float32 (..., C, H, W), whitened if the data set is."""
        return self.whitening.apply(images) if self.whitening else images


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (images / 255 - mean) / std.

    Args:
        images: uint8, (..., C, H, W), on any device.
        mean: one value per channel, in units of [0, 1] intensity.
        std: likewise.

    Returns:
        float32 of the same shape on the same device; not clamped.
    """
    scale, shift = _scale_and_shift(mean, std, images.device)
    return torch.addcmul(shift, images.to(torch.float32), scale)


@lru_cache(maxsize=8)  # would be two more copies to the device for every batch
def _scale_and_shift(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float32, device=device)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device)
    return scale.view(-1, 1, 1), shift.view(-1, 1, 1)


class Split:
    """The training or the test images of a data set, with their labels.

    Args:
        images: uint8, (N, C, H, W): an array, a memory map of a .npy file, or a tensor on some device.
        labels: int64, (N,), from 0 to the number of classes - 1.
        info: the data set that they belong to.
    """

    def __init__(self, images: np.ndarray | Tensor, labels: np.ndarray, info: DataInfo) -> None:
        """Keep references to the arrays; nothing is copied."""
        self._stored = images
        self._rows: np.ndarray | None = None
        self.labels = labels
        self.info = info

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self._stored.device if isinstance(self._stored, Tensor) else torch.device("cpu")

    @property
    def images(self) -> np.ndarray | Tensor:
        """The uint8 images, (N, C, H, W): the stored array, or for a subset a copy of its rows."""
        return self._stored if self._rows is None else self._gather(np.arange(len(self)))

    def subset(self, indices: np.ndarray | Tensor) -> Split:
        """Return the images at `indices`, (n,) int64, in that order, as a split; no image is copied.

        Raises:
            IndexError: an index is not in [0, N).
        """
        chosen = self._checked(indices)
        part = Split(self._stored, self.labels[chosen], self.info)
        part._rows = chosen if self._rows is None else self._rows[chosen]
        return part

    def indices_of(self, c: int) -> np.ndarray:
        """Return the indices of the images of class `c` in this split, ascending, int64, (n,), or empty."""
        first, last = np.searchsorted(self._sorted_labels, [c, c + 1])
        return self._order[first:last]

    def batch(self, indices: np.ndarray | Tensor, device: torch.device) -> Tensor:
        """Return the images at `indices` in that order, normalized.

        Args:
            indices: int64, (n,), each in [0, N); repetitions are allowed.
            device: the device of the result; bytes are copied to it and converted to floats there.

        Returns:
            float32, (n, C, H, W), (x / 255 - mean) / std, whitened if the data set is; not clamped.

        Raises:
            IndexError: an index is not in [0, N).
            CondenseryError: the file of the images has become shorter.
        """
        if isinstance(self._stored, Tensor) and isinstance(indices, Tensor) and self._rows is None:
            images = self._stored.index_select(0, indices.to(self._stored.device))
        else:
            images = torch.as_tensor(self._gather(self._checked(indices)))
        return self.info.seen(images.to(device))

    def resident(self, device: torch.device) -> Split:
        """Return the same split with its uint8 images as one tensor on `device` (N * C * H * W bytes there).

        The images are copied in pieces, so that the host never holds more than a few dozen megabytes of
        them at once.

        Raises:
            CondenseryError: the file of the images has become shorter.
        """
        if isinstance(self._stored, Tensor) and self._rows is None:
            return Split(self._stored.to(device), self.labels, self.info)
        shape = tuple(self._stored.shape[1:])
        images = torch.empty((len(self), *shape), dtype=torch.uint8, device=device)
        step = max(1, CHUNK_BYTES // int(np.prod(shape)))
        for start in range(0, len(self), step):
            rows = np.arange(start, min(start + step, len(self)))
            images[start : start + len(rows)] = torch.as_tensor(self._gather(rows)).to(device)
        return Split(images, self.labels, self.info)

    @cached_property
    def _order(self) -> np.ndarray:
        order = np.argsort(self.labels, kind="stable").astype(np.int64)
        order.flags.writeable = False
        return order

    @cached_property
    def _sorted_labels(self) -> np.ndarray:
        return self.labels[self._order]

    @cached_property
    def _file(self) -> _MappedFile | None:
        """The file of the images if it is too large to be read through its mapping, else None."""
        if isinstance(self._stored, np.memmap) and self._stored.nbytes > MAPPED_BYTES:
            return _MappedFile(self._stored)
        return None

    def _checked(self, indices: np.ndarray | Tensor) -> np.ndarray:
        chosen = indices.cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
        if chosen.size == 0:
            return chosen.astype(np.int64).reshape(0)
        if chosen.min() < 0 or chosen.max() >= len(self):
            raise IndexError(f"indices from {chosen.min()} to {chosen.max()} into {len(self)} images")
        return chosen.astype(np.int64, copy=False)

    def _gather(self, positions: np.ndarray) -> np.ndarray | Tensor:
        """Copy the uint8 images at checked positions of this split."""
        rows = positions if self._rows is None else self._rows[positions]
        if isinstance(self._stored, Tensor):
            return self._stored.index_select(0, torch.from_numpy(rows).to(self._stored.device))
        if self._file is not None:
            return self._file.read(rows)
        return np.asarray(np.take(self._stored, rows, axis=0))


class _MappedFile:
    """The file behind a memory map of uint8 images, opened a second time and closed with this object."""

    def __init__(self, mapped: np.memmap) -> None:
        self._mapped = mapped
        self._descriptor = os.open(str(mapped.filename), os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Copy rows from the file: in ascending order for the system's read-ahead, neighbors in one call."""
        images = np.empty((len(rows), *self._mapped.shape[1:]), dtype=np.uint8)
        if len(rows) == 0:
            return images
        size = images[0].nbytes
        flat = images.reshape(-1).data
        order = np.argsort(rows, kind="stable")
        joined = (np.diff(rows[order]) == 1) & (np.diff(order) == 1)
        for run in np.split(order, np.flatnonzero(~joined) + 1):
            self._read_run(flat[run[0] * size : (run[-1] + 1) * size], int(rows[run[0]]) * size)
        return images

    def _read_run(self, target: memoryview, start: int) -> None:
        done = 0
        while done < len(target):
            got = os.preadv(self._descriptor, [target[done:]], self._mapped.offset + start + done)
            if got == 0:
                raise CondenseryError(
                    f"{self._mapped.filename}: became shorter while in use; prepare it again"
                )
            done += got


@dataclass(frozen=True)
class RealData:
    """A prepared data set.

    Attributes:
        info: its description.
        train: its training split.
        test: its test split.
        content: digests that do not depend on the order of the images: one of the labeled images per split,
            and under ``seen_as`` one of classes, shape and normalization. Empty if unknown. A view keeps the
            digests of its data set.
        files: a digest of the arrays in their stored order, on which random choices depend; "" if unknown.
    """

    info: DataInfo
    train: Split
    test: Split
    content: Mapping[str, str] = field(default_factory=dict)
    files: str = ""
