"""The arrays of an unfinished preparation: written part by part, so that it can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.contents import Contents, Part, Piece, Shape, readable
from condensery.data.storage import HEADER_BYTES, READ_BYTES, header
from condensery.errors import CondenseryError
from condensery.progress import Progress


class Journal:
    """The journal of a preparation: the written parts of each split and their digest."""

    def __init__(self, path: Path, address: str) -> None:
        """Read the journal, unless it belongs to another preparation.

        Args:
            path: the file.
            address: a digest of source, entry and parts; a journal with another address is ignored.
        """
        self._path = path
        self._state: dict[str, Any] = {"address": address}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            known = found["address"] == address
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return
        if known:
            self._state = found

    def done(self, split: str) -> tuple[int, int, str]:
        """Return the numbers of written parts and images of a split, and the digest of the written data."""
        match self._state.get(split):
            case [int(parts), int(images), str(written)] if parts >= 0 <= images:
                return parts, images, written
        return 0, 0, ""

    def record(self, split: str, parts: int, images: int, written: str) -> None:
        """Record how much of a split is written, and flush the record to the disk.

        Args:
            split: ``train`` or ``test``.
            parts: the number of written parts.
            images: the number of images in them.
            written: a digest of the written data.
        """
        self._state[split] = [parts, images, written]
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._state), encoding="utf-8")
        sync(fresh)
        os.replace(fresh, self._path)


def write_split(
    split: str, contents: Contents, shape: Shape, positions: np.ndarray, journal: Journal, partial: Path
) -> None:
    """Append the parts that the journal does not list yet, then write the headers of the two files.

    Args:
        split: ``train`` or ``test``.
        contents: the source.
        shape: channels, height and width (pixels) of the prepared images.
        positions: the prepared label of each class of the source, int64 (classes,).
        journal: what is written already.
        partial: the folder of the files.

    Raises:
        CondenseryError: a part cannot be read, or its images or labels do not match the entry.
    """
    files = [partial / f"{split}_images.npy", partial / f"{split}_labels.npy"]
    row_bytes = (shape.channels * shape.height * shape.width, 8)
    done, count, written = journal.done(split)
    for file in files:
        file.touch()
    rows = [_hashed(file, count * size) for file, size in zip(files, row_bytes, strict=True)]
    if written != _digest(done, rows):
        done = count = 0
        rows = [hashlib.sha256() for _ in files]
    for file, size in zip(files, row_bytes, strict=True):
        os.truncate(file, HEADER_BYTES + count * size)
    parts = contents.parts(split)
    with (
        files[0].open("ab") as images_file,
        files[1].open("ab") as labels_file,
        Progress(f"{split} images", len(parts), "parts") as progress,
    ):
        for number in range(done, len(parts)):
            for images, labels in _pieces(contents.path, parts[number]):
                _check_piece(contents.path, images, labels, shape, len(positions))
                for stream, hashed, values in (
                    (images_file, rows[0], np.ascontiguousarray(images)),
                    (labels_file, rows[1], positions[labels].astype("<i8")),
                ):
                    stream.write(values.data)
                    hashed.update(values.data)
                count += len(labels)
            for stream in (images_file, labels_file):
                stream.flush()
                os.fsync(stream.fileno())
            journal.record(split, number + 1, count, _digest(number + 1, rows))
            if len(parts) > 1:
                progress.step(number + 1)
    heads = (header((count, *shape), np.uint8), header((count,), np.int64))
    for file, head in zip(files, heads, strict=True):
        with file.open("r+b") as whole:
            whole.write(head)


def _hashed(file: Path, size: int) -> hashlib._Hash:
    """Return the SHA-256 of the first ``size`` bytes of rows, or of all if the file is shorter."""
    found = hashlib.sha256()
    with file.open("rb") as stream:
        stream.seek(HEADER_BYTES)
        while size and (data := stream.read(min(size, READ_BYTES))):
            found.update(data)
            size -= len(data)
    return found


def _digest(parts: int, rows: Sequence[hashlib._Hash]) -> str:
    return hashlib.sha256(" ".join([str(parts), *(r.hexdigest() for r in rows)]).encode()).hexdigest()


def _pieces(path: Path, part: Part) -> Iterator[Piece]:
    """Read a part; any exception of its reader becomes one line that names the source."""
    with readable(path):
        yield from part()


def _check_piece(path: Path, images: np.ndarray, labels: np.ndarray, shape: Shape, classes: int) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != tuple(shape):
        raise CondenseryError(
            f"{path}: holds {images.dtype} images of shape {images.shape[1:]}, not uint8 "
            f"{tuple(shape)}; correct channels and size in config/datasets.yaml or change the source"
        )
    if labels.shape != (len(images),):
        raise CondenseryError(
            f"{path}: holds labels of shape {labels.shape} for {len(images)} images; replace it"
        )
    if not len(labels) or 0 <= labels.min() <= labels.max() < classes:
        return
    found = f"{path}: labels from {labels.min()} to {labels.max()} instead of 0 to {classes - 1}; "
    if labels.min() == 1 and labels.max() == classes:
        raise CondenseryError(f"{found}this source counts its classes from 1: subtract 1 from each label")
    if labels.min() >= classes:
        raise CondenseryError(
            f"{found}this source has other numbers, such as codes of letters: number its labels from 0, "
            "in the order of the classes"
        )
    raise CondenseryError(f"{found}correct classes in config/datasets.yaml or change the source")


def sync(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())
