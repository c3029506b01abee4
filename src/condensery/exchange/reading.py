"""Read a set of any layout: recognize the layout of a file, and call its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.exchange.checks import existing
from condensery.exchange.found import Choices, Found, LabelKind, Normalization, Space
from condensery.exchange.npz import from_npz
from condensery.exchange.numpy_layouts import OWN, names_of, of_npy, of_npz
from condensery.exchange.parquet import from_parquet, of_parquet
from condensery.exchange.parts import files_of_parts, of_parts
from condensery.exchange.png import from_png_folders
from condensery.exchange.torch_layouts import of_torch
from condensery.synthetic import SyntheticSet


@dataclass(frozen=True)
class Format:
    """A file format of synthetic sets.

    Attributes:
        endings: the endings of file names; none for folders.
        complete: reads a file that states all of its properties, and returns None for any other file.
        found: reads images and labels of any other file, given the file, the data set and the index of the
            set in a file of several.
    """

    endings: tuple[str, ...]
    complete: Callable[[Path, DataInfo], SyntheticSet | None]
    found: Callable[[Path, DataInfo, int], Found] | None = None


def _one(read: Callable[[Path], Found]) -> Callable[[Path, DataInfo, int], Found]:
    return lambda path, info, experiment: read(path)


def _own_npz(path: Path, info: DataInfo) -> SyntheticSet | None:
    return from_npz(path) if names_of(path) >= OWN else None


FORMATS: Mapping[str, Format] = {
    "safetensors": Format((".safetensors",), lambda path, info: SyntheticSet.load(path)),
    "pt": Format((".pt", ".pth"), lambda path, info: None, lambda path, info, number: of_torch(path, number)),
    "npz": Format((".npz",), _own_npz, _one(of_npz)),
    "npy": Format((".npy",), lambda path, info: None, _one(of_npy)),
    "parquet": Format((".parquet",), from_parquet, lambda path, info, number: of_parquet(path, info)),
    "png": Format((), lambda path, info: from_png_folders(path, info)),
    "parts": Format((), lambda path, info: None, _one(lambda folder: of_parts(folder, PARTS))),
}
"""The formats by name. ``png`` is a folder of class folders with image files of any kind; ``parts`` is a
folder of files that together make one set."""

PARTS: Mapping[str, Callable[[Path], Found]] = {
    ".pt": lambda path: of_torch(path, 0),
    ".pth": lambda path: of_torch(path, 0),
    ".npy": of_npy,
}
"""Ending of a file of ``parts`` -> its reader."""


def read(
    path: Path | str,
    data: DataInfo,
    *,
    format: str | None = None,
    experiment: int = 0,
    space: Space | None = None,
    normalization: Normalization | None = None,
    labels: LabelKind | None = None,
    formation: int | None = None,
    zca: Path | None = None,
) -> SyntheticSet:
    """Read a synthetic set of any known layout, checked against its data set.

    No code in a file is run, and a file cannot make its reader allocate much more memory than its size.

    Args:
        path: the file or folder; docs/synthetic-set.md lists the layouts.
        data: the data set that the images stand for.
        format: a name of `FORMATS`; default: by the ending of the file. A folder is ``png``, or ``parts`` if
            it holds files of ``parts``.
        experiment: the index, from 0, of the set in a file of several sets.
        space: the space of the pixels, before any whitening; default: the only one that the values allow.
        normalization: mean and std of normalized pixels, if they differ from those of `data`.
        labels: the kind of labels; default: the only one that the values allow.
        formation: parts along each side of a stored image; default: as the file states, or else 1.
        zca: a file with the mean and the matrix that the images were whitened with, see `Whitening`. The
            whitening is undone, because it is part of a recipe and not of a set.

    Raises:
        CondenseryError: the file is absent, unsafe, of an unknown layout, leaves a property open that an
            argument must state, or does not match the data.
    """
    path = Path(path)
    known = _format(path, format)
    choices = Choices(space, normalization, labels, formation, zca)
    if experiment and known is not FORMATS["pt"]:
        raise CondenseryError(f"{path}: a file of this kind holds one set; omit --experiment")
    if known.endings:
        existing(path)
    synthetic = known.complete(path, data)
    if synthetic is None and known.found:
        return known.found(path, data, experiment).as_set(path, data, choices)
    if synthetic is None or choices != Choices(formation=formation):
        raise CondenseryError(
            f"{path}: states its kind of pixels and of labels; omit --space, --mean, --std, "
            "--labels and --zca"
        )
    if formation is not None and synthetic.formation not in (1, formation):
        raise CondenseryError(
            f"{path}: has formation {synthetic.formation}, not {formation}; omit --formation"
        )
    if formation is not None and formation != synthetic.formation:
        source = synthetic.source
        synthetic = replace(synthetic, formation=formation)
        synthetic.source = source
    synthetic.check_against(data)
    return synthetic


def _format(path: Path, name: str | None) -> Format:
    if name is not None and name not in FORMATS:
        raise CondenseryError(f"format {name!r} is unknown; choose one of {', '.join(FORMATS)}")
    if name is not None:
        return FORMATS[name]
    if path.is_dir():
        files = files_of_parts(path, PARTS)
        if len(files) > 1:
            names = ", ".join(each.name for each in files[:3]) + (", ..." if files[3:] else "")
            raise CondenseryError(
                f"{path}: holds {names}; give one of them, or --format parts if each is a part of one set"
            )
        return FORMATS["parts" if files else "png"]
    for each in FORMATS.values():
        if path.suffix.lower() in each.endings:
            return each
    raise CondenseryError(f"{path}: of unknown format; add --format {', '.join(FORMATS)}")
