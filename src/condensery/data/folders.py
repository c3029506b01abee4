"""Image folders: one folder per class, any image format, resized to the prepared size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from condensery.data.contents import Contents, Piece, Shape, fingerprint, readable
from condensery.errors import CondenseryError

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
IMAGES_PER_PART = 2_000


def read_image_folder(root: Path, shape: Shape) -> Contents:
    """Read ``train/<class>/...`` and ``test/<class>/...`` (or ``val/<class>/...``), sub-folders included.

    The classes are the sorted names of the folders of ``train``. An image becomes grey or RGB, is cut to the
    centre with the prepared aspect ratio and is resized with antialiasing (bicubic); one that has the size
    already is taken as it is.

    Raises:
        CondenseryError: a split is missing or empty, or a test class has no training images.
    """
    folders = {
        "train": root / "train",
        "test": next((root / name for name in ("test", "val") if (root / name).is_dir()), root / "test"),
    }
    for folder in folders.values():
        if not folder.is_dir():
            raise CondenseryError(
                f"{folder}: no such folder; an image folder has train/<class>/ and test/<class>/"
            )
    classes = sorted(entry.name for entry in folders["train"].iterdir() if entry.is_dir())
    files = {split: _labelled(folder, classes) for split, folder in folders.items()}
    return _contents(root, classes, files["train"], files["test"], shape)


def read_tiny_imagenet(root: Path, shape: Shape) -> Contents:
    """Read the official layout: train/<wnid>/images/*, val/images/* and val/val_annotations.txt.

    Raises:
        CondenseryError: a folder holds no images, or the annotations cannot be read.
    """
    annotations = root / "val" / "val_annotations.txt"
    classes = sorted(entry.name for entry in (root / "train").iterdir() if entry.is_dir())
    label = {name: c for c, name in enumerate(classes)}
    with readable(annotations):
        rows = [line.split("\t")[:2] for line in annotations.read_text(encoding="utf-8").splitlines() if line]
        test = sorted((root / "val" / "images" / name, label[wnid]) for name, wnid in rows)
    return _contents(root, classes, _labelled(root / "train", classes), test, shape)


def _labelled(folder: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    unknown = {entry.name for entry in folder.iterdir() if entry.is_dir()} - set(classes)
    if unknown:
        raise CondenseryError(
            f"{folder / min(unknown)}: no training images for this class; add or remove the folder"
        )
    found = []
    for c, name in enumerate(classes):
        if (folder / name).is_dir():
            images = (file for file in (folder / name).rglob("*") if file.suffix.lower() in ENDINGS)
            found += [(file, c) for file in sorted(images)]
    if not found:
        raise CondenseryError(f"{folder}: holds no images; an image folder has {folder.name}/<class>/<image>")
    return found


def _contents(
    root: Path, classes: list[str], train: list[tuple[Path, int]], test: list[tuple[Path, int]], shape: Shape
) -> Contents:
    splits = [
        [partial(_part, rows[i : i + IMAGES_PER_PART], shape) for i in range(0, len(rows), IMAGES_PER_PART)]
        for rows in (train, test)
    ]
    with readable(root):
        print_of_files = fingerprint([file for file, _ in (*train, *test)], root)
    return Contents(root, tuple(classes), *splits, print_of_files)


def _part(rows: Sequence[tuple[Path, int]], shape: Shape) -> Iterator[Piece]:
    # Decoding releases the interpreter lock; map keeps the order.
    with ThreadPoolExecutor(
        max_workers=os.process_cpu_count() if hasattr(os, "process_cpu_count") else None
    ) as pool:
        images = np.stack(list(pool.map(lambda row: _image(row[0], shape), rows)))
    yield images, np.array([c for _, c in rows], dtype=np.int64)


def _image(path: Path, shape: Shape) -> np.ndarray:
    with readable(path), Image.open(path) as opened:
        image = opened.convert("L" if shape.channels == 1 else "RGB")
    if image.size != (shape.width, shape.height):
        image = _fitted(image, shape.width, shape.height)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    # Cut before resizing: resizing a box of the image would let its surroundings bleed into the border.
    scale = min(image.width / width, image.height / height)
    cut = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (image.width - cut[0]) // 2, (image.height - cut[1]) // 2
    middle = image.crop((left, top, left + cut[0], top + cut[1]))
    return middle.resize((width, height), Image.Resampling.BICUBIC)
