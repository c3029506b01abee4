"""The contents of a source: labeled uint8 images of two splits, in parts that can be read one by one."""

from __future__ import annotations

import bz2
import errno
import gzip
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from condensery.errors import CondenseryError

Piece = tuple[np.ndarray, np.ndarray]
"""uint8 images (n, C, H, W) and their int64 labels (n,)."""

Part = Callable[[], Iterator[Piece]]
"""A part of a split, the unit that an interrupted preparation resumes at: each call yields its pieces."""


class Shape(NamedTuple):
    """Channels, height and width (pixels) of the prepared images."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Contents:
    """The two splits of a source.

    ``path`` is its file or folder, ``classes`` are the class names that the source contains (None if it has
    none), and ``files`` are the files from which images, labels and names are read.
    """

    path: Path
    classes: tuple[str, ...] | None
    train: Sequence[Part]
    test: Sequence[Part]
    files: Sequence[Path] = ()

    def parts(self, split: str) -> Sequence[Part]:
        """Return the parts of ``"train"`` or ``"test"``."""
        return self.train if split == "train" else self.test


def one_piece(images: np.ndarray, labels: np.ndarray) -> Iterator[Piece]:
    """Yield images (N, C, H, W) uint8 and labels (N,), which are in memory, as one piece with int64 labels.

    Raises:
        ValueError: the labels are not whole numbers.
    """
    yield np.ascontiguousarray(images), whole_numbers(labels)


_OF_THE_SYSTEM = frozenset(
    {errno.EACCES, errno.EIO, errno.EISDIR, errno.ELOOP, errno.EMFILE, errno.ENAMETOOLONG, errno.ENOENT}
    | {errno.ENOTDIR, errno.EPERM, errno.ESTALE}
)
"""Errors of the system that mean that a file cannot be read; parsers raise other kinds of OSError, too."""

LARGEST_RATIO = 100
"""Largest accepted ratio of unpacked to compressed size; images and labels compress by far less."""

ALWAYS_UNPACKED = 256 * 2**20
"""Unpacked bytes that are accepted for any file, however small it is."""


SURELY_IN_MEMORY = 64 * 2**20
"""Bytes of a file whose contents fit into the memory of any machine."""


class _OutOfMemoryError(MemoryError):
    """There is not enough memory for a file; the message names it."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the exception of a parser on a damaged file into one line that names the file.

    Raises:
        CondenseryError: the file cannot be read.
        MemoryError: the file is too large, or claims to be; the message names it, too.
        OSError: the data cannot be written: the disk is full or read-only.
    """
    try:
        yield
    except CondenseryError:
        raise
    except _OutOfMemoryError:
        raise
    except MemoryError as error:
        if path.is_file() and path.stat().st_size < SURELY_IN_MEMORY:
            raise CondenseryError(
                f"{path}: truncated or altered, claims more than memory holds; replace it"
            ) from None
        raise _OutOfMemoryError(f"{path}: {error or 'larger than memory'}") from None
    except Exception as error:  # what a library raises on a damaged file is of any kind
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
            named = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else path
            raise CondenseryError(
                f"{named}: cannot be read ({str(error.strerror).lower()}); check its path and permissions"
            ) from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CondenseryError(
            f"{path}: truncated or altered, cannot be read ({reason}); replace it"
        ) from None


def largest_unpacked(path: Path) -> int:
    """Return the number of bytes that a compressed file may unpack to."""
    return max(ALWAYS_UNPACKED, LARGEST_RATIO * path.stat().st_size)


def check_unpacked(path: Path, size: int) -> None:
    """Check the number of bytes that a compressed file unpacks to, or has unpacked to so far.

    Raises:
        CondenseryError: there are more than :func:`largest_unpacked` allows.
    """
    if size > largest_unpacked(path):
        raise CondenseryError(
            f"{path}: unpacks to {size:,} bytes or more, over {LARGEST_RATIO} times its size; "
            "check where it comes from, or unpack it yourself"
        )


def decompressed(path: Path) -> bytes:
    """Return the bytes of a file that may be compressed with gzip or bzip2 (by its ending).

    Raises:
        CondenseryError: the file cannot be read, or unpacks to far more than its size.
    """
    with readable(path):
        if path.suffix not in (".gz", ".bz2"):
            return path.read_bytes()
        with gzip.open(path) if path.suffix == ".gz" else bz2.open(path) as stream:
            data = stream.read(largest_unpacked(path) + 1)
        check_unpacked(path, len(data))
        return data


def arrays_of_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read arrays of a NumPy archive without pickles; their sizes are checked before memory is allocated.

    Args:
        path: the .npz.
        names: the arrays to read; default: all.

    Raises:
        CondenseryError: the archive cannot be read, unpacks to far more than its size, or lacks an array.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        check_unpacked(path, sum(entry.file_size for entry in archive.infolist()))
        known = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
        found = {}
        for name in known if names is None else names:
            if name not in known:
                raise CondenseryError(f"{path}: has no array {name!r}; give a file of this kind")
            with archive.open(known[name]) as stream:
                found[name] = _array(stream, known[name].file_size)
        return found


def npy_head(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read the header of a .npy file: the shape, whether the order is that of Fortran, and the type."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    return np.lib.format.read_array_header_2_0(stream)


def _array(stream: IO[bytes], size: int) -> np.ndarray:
    shape, fortran, dtype = npy_head(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    wanted = math.prod(shape) * dtype.itemsize
    if not 0 <= wanted <= size:
        raise ValueError(f"claims an array of shape {shape}, larger than the file")
    return np.ndarray(shape, dtype, stream.read(), order="F" if fortran else "C").copy()


def whole_numbers(labels: object) -> np.ndarray:
    """Return labels, (N,), as int64.

    Raises:
        ValueError: they are not whole numbers; the message says what they are instead.
    """
    # Nested lists that contain each other several times may stand for exponentially many values.
    if isinstance(labels, list | tuple) and any(isinstance(label, list | tuple) for label in labels):
        raise ValueError("labels are not one number for each image")
    values = np.asarray(labels)
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind == "f" and np.array_equal(values, np.rint(values)):
        return values.astype(np.int64)
    raise ValueError(f"labels such as {values.reshape(-1)[:1].tolist()} are not whole numbers from 0")


def class_names(values: Sequence[object]) -> tuple[str, ...]:
    """Return the class names that a file holds.

    Raises:
        ValueError: they are not texts.
    """
    if not all(isinstance(name, str) for name in values):
        raise ValueError("its class names are not texts")
    return tuple(map(str, values))
