"""Image data sets as Parquet files, in the layout of the Hugging Face library `datasets`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.contents import Contents, Piece, Shape, check_unpacked, readable, whole_numbers
from condensery.data.decoding import read_image
from condensery.data.folders import fitted
from condensery.errors import CondenseryError

IMAGES = ("image", "img", "images", "pixel_values")
LABELS = ("soft_label", "label", "labels", "fine_label", "target")
"""The names that the columns of images and labels may have."""

SPLITS = {"train": ("train",), "test": ("test", "validation", "valid", "val")}
"""How the names of the files of a split begin, the first that there is."""

_ROWS = 500


def columns(path: Path) -> tuple[str, str, list[str]]:
    """Return the names of the columns of images and labels, and the class names, or none.

    Raises:
        CondenseryError: the file is damaged, or has no such columns.
    """
    # Imported here and below, since every job knows this kind of file and few jobs read one.
    import pyarrow.parquet as pq

    with readable(path):
        schema = pq.read_schema(path)
        image, label = (next((n for n in names if n in schema.names), None) for names in (IMAGES, LABELS))
        if image is None or label is None:
            listed = ", ".join(schema.names[:8])
            raise CondenseryError(
                f"{path}: has columns {listed}, none of {', '.join(IMAGES if image is None else LABELS)}; "
                "rename the column"
            )
        text = (schema.metadata or {}).get(b"huggingface", b"{}")
        feature = json.loads(text).get("info", {}).get("features", {}).get(label, {})
        names = feature.get("names") or []
        if not all(isinstance(name, str) for name in names):
            raise ValueError("its names of classes are not texts")
        return image, label, names


def decoded(path: Path, value: bytes | dict[str, Any], shape: Shape, *, resized: bool = False) -> np.ndarray:
    """Return one encoded image of a file as (C, H, W) uint8.

    Args:
        path: the file, for messages.
        value: the encoded image, or a dictionary that has it under ``bytes``.
        shape: the prepared shape, which sets the number of channels.
        resized: cut and resize the image to this shape.

    Raises:
        CondenseryError: the value names an image file instead of holding it, or cannot be decoded.
    """
    content = value if isinstance(value, bytes) else value.get("bytes")
    if content is None:
        raise CondenseryError(f"{path}: names image files instead of holding them; embed them")
    image = read_image(path, shape.channels, content)
    if resized:
        image = fitted(image, shape)
    pixels = np.array(image)
    return (pixels[..., None] if pixels.ndim == 2 else pixels).transpose(2, 0, 1)


def read_parquet(root: Path, shape: Shape) -> Contents:
    """Read the files of a folder, or of its folders, whose names begin with ``train`` and with ``test``.

    Without ``test``, the test images are those of ``validation`` (or ``valid``, ``val``). Images are encoded,
    or arrays of 8-bit pixels; encoded ones of another size are cropped and resized as those of an image
    folder. Labels are whole numbers; the first file may hold the class names.

    Args:
        root: the folder.
        shape: channels, height and width (pixels) of the prepared images.

    Raises:
        CondenseryError: a split has no file, or a file is damaged or holds something else.
    """
    found = sorted(file for file in root.rglob("*.parquet") if not file.name.startswith("."))
    files: dict[str, list[Path]] = {}
    for split, starts in SPLITS.items():
        each = ([file for file in found if file.name.startswith(start)] for start in starts)
        files[split] = next((some for some in each if some), [])
        if not files[split]:
            raise CondenseryError(f"{root}: has no {split}*.parquet; put the files of the split there")
    names = columns(files["train"][0])[2]
    train, test = ([partial(_rows, file, shape) for file in files[split]] for split in SPLITS)
    return Contents(root, tuple(names) or None, train, test, [*files["train"], *files["test"]])


def _rows(path: Path, shape: Shape) -> Iterator[Piece]:
    import pyarrow.parquet as pq

    image, label, _ = columns(path)
    with readable(path):
        file = pq.ParquetFile(path)
        check_unpacked(
            path, sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
        )
        for batch in file.iter_batches(_ROWS, columns=[image, label]):
            values = batch.column(image).to_pylist()
            if any(value is None for value in values):
                raise ValueError("a row has no image")
            if isinstance(values[0], bytes | dict):
                images = np.stack([decoded(path, value, shape, resized=True) for value in values])
            else:
                images = _arrays(values, shape)
            yield images, whole_numbers(batch.column(label).to_pylist())


def _arrays(values: list[Any], shape: Shape) -> np.ndarray:
    """Return images that are nested lists, (n, C, H, W), (n, H, W, C) or, gray, (n, H, W)."""
    pixels = np.array(values)
    if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
        raise ValueError("its images are not arrays of whole numbers from 0 to 255")
    if pixels.shape[1:] == (shape.height, shape.width, shape.channels):
        pixels = pixels.transpose(0, 3, 1, 2)
    return pixels.astype(np.uint8).reshape(-1, *shape)
