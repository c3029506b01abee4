"""The contents of a source: labelled uint8 images of two splits, in parts that can be read one by one."""

from __future__ import annotations

import bz2
import gzip
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from condensery.errors import CondenseryError

Piece = tuple[np.ndarray, np.ndarray]
"""uint8 images (n, C, H, W) and their int64 labels (n,)."""

Part = Callable[[], Iterator[Piece]]
"""A resumable unit of a split: each call yields its pieces."""


class Shape(NamedTuple):
    """Channels, height and width (pixels) of the prepared images."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Contents:
    """The two splits of a source.

    ``path`` is its file or folder, ``classes`` are the names that the source itself gives (None if it gives
    none), ``fingerprint`` changes when its files do, so that a half-finished preparation is not continued
    from other files.
    """

    path: Path
    classes: tuple[str, ...] | None
    train: Sequence[Part]
    test: Sequence[Part]
    fingerprint: str

    def parts(self, split: str) -> Sequence[Part]:
        """Return the parts of ``"train"`` or ``"test"``."""
        return self.train if split == "train" else self.test


def one_piece(images: np.ndarray, labels: np.ndarray) -> Iterator[Piece]:
    """Yield arrays that are in memory already, (N, C, H, W) uint8 and (N,), as one piece; labels as int64."""
    yield np.ascontiguousarray(images), labels.astype(np.int64)


def fingerprint(files: Sequence[Path], root: Path) -> str:
    """Return a digest of the names under `root` and the sizes of the files of a source."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the exception of a parser on a damaged file into one line that names the file.

    Raises:
        CondenseryError: the file cannot be read.
    """
    try:
        yield
    except CondenseryError:
        raise
    except Exception as error:  # what a library raises on a damaged file is of any kind
        reason = str(error).replace("\n", " ") or type(error).__name__
        raise CondenseryError(
            f"{path}: truncated or altered, cannot be read ({reason}); replace it"
        ) from None


def decompressed(path: Path) -> bytes:
    """Return the bytes of a file that may be compressed with gzip or bzip2 (by its ending).

    Raises:
        CondenseryError: the file cannot be read.
    """
    with readable(path):
        data = path.read_bytes()
        if path.suffix == ".gz":
            return gzip.decompress(data)
        return bz2.decompress(data) if path.suffix == ".bz2" else data
