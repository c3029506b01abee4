"""Read a set of any layout: which one a file has, and the reader of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.exchange.npz import from_npz
from condensery.exchange.png import from_png_folders
from condensery.exchange.reference import from_reference_pt
from condensery.synthetic import SyntheticSet

Space = Literal["uint8", "unit", "normalized"]
"""What the pixels of a file are: whole numbers from 0 to 255, from 0 to 1, or normalized."""


def read(
    path: Path | str,
    data: DataInfo,
    *,
    format: str | None = None,
    experiment: int = 0,
    space: Space | None = None,
    normalization: tuple[Sequence[float], Sequence[float]] | None = None,
    formation: int | None = None,
) -> SyntheticSet:
    """Read a synthetic set of any known layout, checked against its data set.

    Args:
        path: the file or folder.
        data: the data set that the images stand for.
        format: ``safetensors``, ``pt``, ``npz`` or ``png``; default: by the name, a folder is ``png``.
        experiment: which set of a file that holds several, from 0.
        space: what the pixels are; default: what they must be.
        normalization: the mean and std of normalized pixels, when they are not those of `data`.
        formation: parts along each side of an image; default: what the file says, or else 1.

    Raises:
        CondenseryError: the file is absent, unsafe, of an unknown layout, leaves something open that an
            argument must say, or does not match the data.
    """
    path = Path(path)
    kind = format or ("png" if path.is_dir() else path.suffix.lstrip(".").lower())
    if kind == "safetensors":
        synthetic = SyntheticSet.load(path)
    elif kind == "pt":
        return from_reference_pt(path, data, experiment, normalization)
    elif kind == "npz":
        synthetic = from_npz(path)
    elif kind == "png":
        return from_png_folders(path, data)
    else:
        raise CondenseryError(f"{path}: of unknown format; add --format pt, npz or png")
    synthetic.check_against(data)
    return synthetic
