"""A set in several files of one folder, each of images with a file of labels next to it, as MTT writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from condensery.data.contents import readable
from condensery.errors import CondenseryError
from condensery.exchange.found import Found, plain


def files_of_parts(folder: Path, endings: Mapping[str, object]) -> list[Path]:
    """Return the files of images in a folder, sorted by the numbers in their names."""
    found = [each for each in folder.glob("*images*") if each.suffix.lower() in endings and each.is_file()]
    return sorted(
        found, key=lambda each: [(int(n or 0), s) for n, s in re.findall(r"(\d+)|(\D+)", each.name)]
    )


def of_parts(folder: Path, readers: Mapping[str, Callable[[Path], Found]]) -> Found:
    """Return the concatenated images and labels of all files of a folder.

    Args:
        folder: the folder with files of images and of labels.
        readers: ending of a file's name -> the function that reads images and labels.

    Raises:
        CondenseryError: the folder has no such files, or the parts differ in shape, labels or learning rate.
    """
    files = files_of_parts(folder, readers)
    if not files:
        raise CondenseryError(
            f"{folder}: holds no {' or '.join(f'images*{e}' for e in readers)}; give the folder"
        )
    parts = [readers[each.suffix.lower()](each) for each in files]
    rates = {each.learning_rate for each in parts}
    if len(rates) > 1:
        raise CondenseryError(
            f"{folder}: its parts were learned with different rates, "
            f"{', '.join(map(str, rates))}; give one part"
        )
    with readable(folder):
        images = [plain(each.images) for each in parts]
        labels = [plain(each.labels) for each in parts]
        shapes = {tuple(each.shape[1:]) for each in images}
        if len(shapes) > 1 or len({each.shape[1:] for each in labels}) > 1:
            raise ValueError(
                f"its parts have images of {' and '.join(map(str, sorted(shapes)))}, or other labels"
            )
        joined = torch.cat(images), torch.cat(labels)
    beside = tuple(
        dict.fromkeys(path for file, each in zip(files, parts, strict=True) for path in (file, *each.beside))
    )
    return replace(
        parts[0], images=joined[0], labels=joined[1], layout="parts, " + parts[0].layout, beside=beside
    )
