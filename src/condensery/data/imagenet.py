"""The published downsampled ImageNet-1K: batches of flat rows, as pickles or as .npz."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from condensery.data.contents import (
    Contents,
    Part,
    Piece,
    Shape,
    arrays_of_npz,
    npy_head,
    readable,
    whole_numbers,
)
from condensery.data.formats import unpickle

BATCHES = (*(f"train_data_batch_{n}" for n in range(1, 11)), "val_data")
CLASS_LIST = "map_clsloc.txt"
ROWS = 4_096


def read_batches(folder: Path, shape: Shape) -> Contents:
    """Read train_data_batch_1 ... 10 and val_data (pickles, or the same names ending in .npz).

    Each is a dictionary with ``data`` (N, 3 * H * W) uint8, ``labels`` from 1, and a mean image that is not
    used. The published labels count the classes in the order of map_clsloc.txt. If that file is next to the
    batches, classes are named by their WordNet ids and numbered in the order of the ids, as in an image
    folder; otherwise they have the published numbers minus one.

    Args:
        folder: the folder of the batches.
        shape: channels, height and width (pixels) of the images.

    Raises:
        CondenseryError: a batch is truncated or altered (when it is read).
    """
    numbers, classes = _class_list(folder / CLASS_LIST)
    files = [_batch_file(folder, name) for name in BATCHES]
    parts: list[Part] = [partial(_part, file, shape, numbers) for file in files]
    listed = [folder / CLASS_LIST] if classes else []
    return Contents(folder, classes, parts[:-1], parts[-1:], [*files, *listed])


def _batch_file(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_file() else folder / f"{name}.npz"


def _class_list(path: Path) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Return, for each published label, its index among the sorted WordNet ids, and the sorted ids."""
    if not path.is_file():
        return None, None
    with readable(path):
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        ids = {int(number): wnid for wnid, number, *_ in rows}
        ordered = sorted(ids.values())
        label_of = {wnid: c for c, wnid in enumerate(ordered)}
        return np.array([label_of[ids[n]] for n in range(1, len(ids) + 1)]), tuple(ordered)


def _part(file: Path, shape: Shape, numbers: np.ndarray | None) -> Iterator[Piece]:
    rows = _npz_rows(file, math.prod(shape)) if file.suffix == ".npz" else _pickle_rows(file)
    for data, labels in rows:
        with readable(file):
            images = data.reshape(-1, *shape)
            found = whole_numbers(labels) - 1
            if len(found) and found.min() < 0:
                raise ValueError("labels do not start at 1")
            yield images, found if numbers is None else numbers[found]


def _pickle_rows(file: Path) -> Iterator[Piece]:
    batch = unpickle(file)
    with readable(file):
        data, labels = batch["data"], np.asarray(batch["labels"])
        if data.dtype != np.uint8 or len(data) != len(labels):
            raise ValueError("data are not uint8 or do not fit the labels")
    for start in range(0, len(data), ROWS):
        yield data[start : start + ROWS], labels[start : start + ROWS]


def _npz_rows(file: Path, width: int) -> Iterator[Piece]:
    """Stream the rows from the archive, so that a batch of 1.5 GB is never in memory as a whole."""
    labels = arrays_of_npz(file, ["labels"])["labels"]
    with readable(file), zipfile.ZipFile(file) as archive, archive.open("data.npy") as stream:
        found, fortran, dtype = npy_head(stream)
        if fortran or dtype != np.uint8 or found != (len(labels), width):
            raise ValueError(f"data are not rows of {width} bytes or do not fit the labels")
        for start in range(0, len(labels), ROWS):
            wanted = min(ROWS, len(labels) - start)
            data = stream.read(wanted * width)
            yield np.frombuffer(data, np.uint8).reshape(wanted, width), labels[start : start + wanted]
