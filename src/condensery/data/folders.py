"""Image folders: one folder per class, any image format, resized to the prepared size."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from condensery.data.contents import Contents, Piece, Shape, fingerprint, readable
from condensery.data.decoding import eight_bit
from condensery.errors import CondenseryError

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
IMAGES_PER_PART = 2_000

# What file managers, archivers and notebooks leave behind; names that begin with a dot are skipped too.
_LEFTOVERS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})

log = logging.getLogger(__name__)


def read_image_folder(root: Path, shape: Shape) -> Contents:
    """Read ``train/<class>/...`` and ``test/<class>/...`` (or ``val/<class>/...``), sub-folders included.

    The classes are the sorted names of the folders of ``train``. An image is turned upright by its EXIF
    orientation, its 16-bit pixels are scaled to 8 bits, transparent pixels are laid on white, and it becomes
    grey or RGB. Then it is cut to the center with the prepared aspect ratio and is resized with antialiasing
    (bicubic); one that has the size already is taken as it is. Hidden files and folders, and files with other
    endings, are left out, which the log says.

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
    classes = _class_folders(folders["train"])
    files = {split: _labelled(folder, classes) for split, folder in folders.items()}
    return _contents(root, classes, files["train"], files["test"], shape)


def read_tiny_imagenet(root: Path, shape: Shape) -> Contents:
    """Read the official layout: train/<wnid>/images/*, val/images/* and val/val_annotations.txt.

    Raises:
        CondenseryError: a folder holds no images, or the annotations cannot be read.
    """
    annotations = root / "val" / "val_annotations.txt"
    classes = _class_folders(root / "train")
    label = {name: c for c, name in enumerate(classes)}
    with readable(annotations):
        rows = [line.split("\t")[:2] for line in annotations.read_text(encoding="utf-8").splitlines() if line]
        test = sorted((root / "val" / "images" / name, label[wnid]) for name, wnid in rows)
    return _contents(root, classes, _labelled(root / "train", classes), test, shape)


def _leftover(name: str) -> bool:
    return name.startswith(".") or name in _LEFTOVERS


def _class_folders(folder: Path) -> list[str]:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if skipped := [name for name in names if _leftover(name)]:
        log.warning("%s: left out %s, which no class is", folder, ", ".join(skipped))
    return [name for name in names if not _leftover(name)]


def _images(folder: Path, skipped: Counter[str]) -> list[Path]:
    """Return the image files below a class folder, sorted, and count the others by ending."""
    found = []
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        if file.is_dir() or any(_leftover(part) for part in inside[:-1]):
            continue
        if _leftover(file.name):
            skipped["hidden"] += 1
        elif file.suffix.lower() in ENDINGS:
            found.append(file)
        else:
            skipped[file.suffix.lower() or "no ending"] += 1
    return found


def _labelled(folder: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    unknown = set(_class_folders(folder)) - set(classes)
    if unknown:
        raise CondenseryError(
            f"{folder / min(unknown)}: no training images for this class; add or remove the folder"
        )
    found: list[tuple[Path, int]] = []
    skipped: Counter[str] = Counter()
    for c, name in enumerate(classes):
        if (folder / name).is_dir():
            found += [(file, c) for file in _images(folder / name, skipped)]
    if skipped:
        listed = ", ".join(f"{count} {ending}" for ending, count in sorted(skipped.items()))
        log.warning(
            "%s: files left out, by ending: %s; read are %s", folder, listed, " ".join(sorted(ENDINGS))
        )
    if not found:
        raise CondenseryError(
            f"{folder}: holds no images; an image folder has {folder.name}/<class>/<image>, with one of the "
            f"endings {' '.join(sorted(ENDINGS))}"
        )
    return found


def _contents(
    root: Path, classes: list[str], train: list[tuple[Path, int]], test: list[tuple[Path, int]], shape: Shape
) -> Contents:
    train_parts, test_parts = (
        [partial(_part, rows[i : i + IMAGES_PER_PART], shape) for i in range(0, len(rows), IMAGES_PER_PART)]
        for rows in (train, test)
    )
    with readable(root):
        print_of_files = fingerprint([file for file, _ in (*train, *test)], root)
    return Contents(root, tuple(classes), train_parts, test_parts, print_of_files)


def _part(rows: Sequence[tuple[Path, int]], shape: Shape) -> Iterator[Piece]:
    # Decoding releases the interpreter lock; map keeps the order.
    with ThreadPoolExecutor(
        max_workers=os.process_cpu_count() if hasattr(os, "process_cpu_count") else None
    ) as pool:
        images = np.stack(list(pool.map(lambda row: _image(row[0], shape), rows)))
    yield images, np.array([c for _, c in rows], dtype=np.int64)


def _image(path: Path, shape: Shape) -> np.ndarray:
    with readable(path), Image.open(path) as opened:
        image = eight_bit(opened, path).convert("L" if shape.channels == 1 else "RGB")
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
