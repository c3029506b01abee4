"""Image folders: one folder per class, any image format, resized to the prepared size."""

from __future__ import annotations

import logging
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from condensery.data.contents import Contents, Piece, Shape, readable
from condensery.data.decoding import ENDINGS, read_image
from condensery.errors import CondenseryError

IMAGES_PER_PART = 2_000

# Left behind by file managers, archivers and notebooks; names that begin with a dot are skipped, too.
_LEFTOVERS = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})

log = logging.getLogger(__name__)


def read_image_folder(root: Path, shape: Shape) -> Contents:
    """Read ``train/<class>/...`` and ``test/<class>/...``, sub-folders included.

    Without ``test``, the test images are those of ``val``, ``valid`` or ``validation``, in upper or lower
    case. The classes are the sorted names of the folders of ``train`` (Unicode's form NFC). Images are
    decoded by `condensery.data.decoding.read_image`, cropped at the center to the prepared aspect ratio, and
    resized with antialiasing (bicubic); an image of the prepared size is not changed. Links are followed,
    each folder once. Hidden files and folders, and files with other endings, are skipped; the log counts
    them.

    Args:
        root: the folder with the splits.
        shape: channels, height and width (pixels) of the prepared images.

    Raises:
        CondenseryError: a split is missing or empty, a test class has no training images, a folder is not
            readable, a link is broken, or the name of a class is not UTF-8.
    """
    folders = {split: _folder_of(root, names) for split, names in SPLITS.items()}
    for folder in folders.values():
        if not folder.is_dir():
            raise CondenseryError(
                f"{folder}: no such folder; an image folder has train/<class>/ and test/<class>/"
            )
    reading = _Reading(root)
    there = {split: reading.classes(folder) for split, folder in folders.items()}
    classes = list(there["train"])
    files = {split: reading.labeled(folder, there[split], classes) for split, folder in folders.items()}
    reading.say()
    return _contents(root, classes, files["train"], files["test"], shape)


def read_tiny_imagenet(root: Path, shape: Shape) -> Contents:
    """Read the official layout: train/<wnid>/images/*, val/images/* and val/val_annotations.txt.

    Raises:
        CondenseryError: a folder holds no images, or the annotations cannot be read.
    """
    annotations = root / "val" / "val_annotations.txt"
    reading = _Reading(root)
    there = reading.classes(root / "train")
    classes = list(there)
    label = {name: c for c, name in enumerate(classes)}
    with readable(annotations):
        rows = [line.split("\t")[:2] for line in annotations.read_text(encoding="utf-8").splitlines() if line]
        test = sorted((root / "val" / "images" / name, label[wnid]) for name, wnid in rows)
    train = reading.labeled(root / "train", there, classes)
    reading.say()
    return _contents(root, classes, train, test, shape)


SPLITS = {"train": ("train",), "test": ("test", "val", "valid", "validation")}
"""The names of the folder of each split, in lower case; the first that exists is read."""


def _folder_of(root: Path, names: Sequence[str]) -> Path:
    """Return the folder with the first of the names, in any case; or the path that the first would have."""
    there = {entry.name.lower(): entry for entry in _listed(root) if entry.is_dir()} if root.is_dir() else {}
    for name in names:
        if (root / name).is_dir():
            return root / name
        if name in there:
            return there[name]
    return root / names[0]


def _leftover(name: str) -> bool:
    return name.startswith(".") or name in _LEFTOVERS


class _Reading:
    """Lists the image files of the class folders of a source, and counts the skipped files by ending."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._skipped: Counter[str] = Counter()

    def classes(self, folder: Path) -> dict[str, Path]:
        """Return the class folders of a split by the names of the classes, sorted by name.

        Raises:
            CondenseryError: two folders have the same name in Unicode's form NFC, a name is not UTF-8, a link
                is broken, or the folder is not readable.
        """
        found: dict[str, Path] = {}
        for entry in _listed(folder):
            if _leftover(entry.name):
                self._leave(entry)
            elif entry.is_dir():
                name = _class_name(entry)
                if name in found:
                    raise CondenseryError(
                        f"{folder}: has two folders {name}, written with other code points; join them"
                    )
                found[name] = entry
            elif entry.is_symlink() and not entry.exists():
                raise _broken(entry)
            else:
                self._skipped[f"outside of {folder.name}/<class>/"] += 1
        return dict(sorted(found.items()))

    def labeled(
        self, folder: Path, there: Mapping[str, Path], classes: Sequence[str]
    ) -> list[tuple[Path, int]]:
        """Return the images of a split, class by class, with their labels.

        Args:
            folder: the folder of the split, for messages.
            there: its class folders, as `classes` returns them.
            classes: the names of the classes of the training images, in the order of their labels.

        Raises:
            CondenseryError: a class has no training images, the split has no images, a link is broken, or a
                folder is not readable.
        """
        if unknown := there.keys() - set(classes):
            raise CondenseryError(
                f"{there[min(unknown)]}: no training images for this class; add or remove the folder"
            )
        found: list[tuple[Path, int]] = []
        for c, name in enumerate(classes):
            if name in there:
                found += [(file, c) for file in self._images(there[name])]
        if not found:
            self.say()
            raise CondenseryError(
                f"{folder}: holds no images; an image folder has {folder.name}/<class>/<image>, with one of "
                f"the endings {' '.join(sorted(ENDINGS))}"
            )
        return found

    def _images(self, folder: Path) -> list[Path]:
        """Return the image files below a class folder, sorted; links are followed, each folder once."""
        found: list[Path] = []
        left, seen = [folder], set()
        while left:
            inner = left.pop()
            with readable(inner):
                status = inner.stat()
            if (status.st_dev, status.st_ino) in seen:
                self._skipped["link to a folder that is read already"] += 1
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in _listed(inner):
                if _leftover(entry.name):
                    self._leave(entry)
                elif entry.is_dir():
                    left.append(entry)
                elif entry.is_symlink() and not entry.exists():
                    raise _broken(entry)
                elif entry.suffix.lower() not in ENDINGS:
                    self._skipped[entry.suffix.lower() or "no ending"] += 1
                elif entry.is_file():
                    found.append(entry)
                else:
                    raise _broken(entry)
        return sorted(found)

    def _leave(self, hidden: Path) -> None:
        self._skipped[f"{hidden.name}/" if hidden.is_dir() else "hidden"] += 1

    def say(self) -> None:
        """Log which files were skipped, if any."""
        if self._skipped:
            listed = ", ".join(f"{count} {ending}" for ending, count in sorted(self._skipped.items()))
            log.warning(
                "%s: left out, by ending: %s; read are %s", self._root, listed, " ".join(sorted(ENDINGS))
            )
        self._skipped.clear()


def _listed(folder: Path) -> list[Path]:
    with readable(folder):
        return sorted(folder.iterdir())


def _broken(entry: Path) -> CondenseryError:
    what = "a link to what does not exist" if entry.is_symlink() else "not a file that can be read"
    return CondenseryError(f"{entry}: {what}; remove it")


def _class_name(folder: Path) -> str:
    """Return the name of a class in Unicode's form NFC: macOS stores names with other code points."""
    try:
        folder.name.encode("utf-8")
    except UnicodeEncodeError:
        raise CondenseryError(
            f"{os.fsencode(folder)!r}: the name of this class is not {sys.getfilesystemencoding()}; rename it"
        ) from None
    return unicodedata.normalize("NFC", folder.name)


def _contents(
    root: Path, classes: list[str], train: list[tuple[Path, int]], test: list[tuple[Path, int]], shape: Shape
) -> Contents:
    train_parts, test_parts = (
        [partial(_part, rows[i : i + IMAGES_PER_PART], shape) for i in range(0, len(rows), IMAGES_PER_PART)]
        for rows in (train, test)
    )
    return Contents(root, tuple(classes), train_parts, test_parts, [file for file, _ in (*train, *test)])


def _part(rows: Sequence[tuple[Path, int]], shape: Shape) -> Iterator[Piece]:
    # Decoding releases the interpreter lock; map keeps the order.
    with ThreadPoolExecutor(
        max_workers=os.process_cpu_count() if hasattr(os, "process_cpu_count") else None
    ) as pool:
        images = np.stack(list(pool.map(lambda row: _image(row[0], shape), rows)))
    yield images, np.array([c for _, c in rows], dtype=np.int64)


def _image(path: Path, shape: Shape) -> np.ndarray:
    image = read_image(path, shape.channels)
    image = fitted(image, shape)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def fitted(image: Image.Image, shape: Shape) -> Image.Image:
    """Return the center of an image, resized to the shape; an image of this size is returned unchanged."""
    width, height = shape.width, shape.height
    if image.size == (width, height):
        return image
    # Crop before resizing: if a box were resized, the pixels around it would influence its border.
    scale = min(image.width / width, image.height / height)
    cut = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (image.width - cut[0]) // 2, (image.height - cut[1]) // 2
    middle = image.crop((left, top, left + cut[0], top + cut[1]))
    return middle.resize((width, height), Image.Resampling.BICUBIC)
