"""Checks of every imported set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet

LARGEST_PIXEL = 30.0
"""Largest accepted absolute value of a pixel, in [0, 1] units; learned pixels exceed 1 by a few units."""


def existing(path: Path) -> Path:
    """Return the path unchanged if it exists.

    Raises:
        CondenseryError: the path does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise CondenseryError(f"{path}: no such file; give a synthetic set")
    return path


def for_data(path: Path, info: DataInfo, *, classes: Sequence[str] | None, **parts: Any) -> SyntheticSet:
    """Build an imported set, normalized as the data is, with errors that name the file.

    If the source does not tell the number of classes, neither by names nor by columns of soft labels, every
    class of the data must have an image: otherwise a set of ten classes would be accepted for a data set of a
    hundred.

    Args:
        path: the file or folder of the set.
        info: the data set.
        classes: the class names in the source, or None.
        parts: the other fields of `SyntheticSet`.

    Raises:
        CondenseryError: the parts do not agree with each other or with the data.
    """
    try:
        names = info.classes if classes is None else tuple(classes)
        synthetic = SyntheticSet(
            classes=names, mean=info.mean, std=info.std, whitening=info.whitened_by, **parts
        )
    except CondenseryError as error:
        raise CondenseryError(
            f"{path}: not a set of {info.name}: {error}; give the set's own data"
        ) from error
    synthetic.source = str(path)
    check_pixels(synthetic)
    synthetic.check_against(info)
    present = len(synthetic.class_indices.unique())
    if classes is None and synthetic.labels.ndim == 1 and present != len(info.classes):
        raise CondenseryError(
            f"{path}: images of {present} classes, but {info.name} has {len(info.classes)}; "
            "give the set's own data"
        )
    return synthetic


def check_pixels(synthetic: SyntheticSet) -> None:
    """Check that an imported set has images, and pixels that can be normalized ones.

    Raises:
        CondenseryError: there are no images, or some pixels are too far from those of real images.
    """
    if not len(synthetic):
        raise CondenseryError(f"{synthetic.source}: holds no images; give another file")
    largest = float(synthetic.images.abs().max())
    if largest * min(synthetic.std) > LARGEST_PIXEL:
        raise CondenseryError(
            f"{synthetic.source}: pixels up to {largest:g}, which are not normalized with mean "
            f"{_listed(synthetic.mean)} and std {_listed(synthetic.std)}; for 0 to 255 give "
            "--space uint8"
        )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
