"""The layouts of NumPy files: ``.npz`` of KIP and FRePo, and ``.npy`` of images next to one of labels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from condensery.data.contents import arrays_of_npz, npy_head, readable
from condensery.exchange.found import Found
from condensery.exchange.torch_layouts import of_mapping, with_labels_beside

OWN = frozenset({"classes", "mean", "std", "provenance"})
"""The entries of an archive of `to_npz` besides images and labels."""


def names_of(path: Path) -> set[str]:
    """Return the names of the arrays in an archive.

    Raises:
        CondenseryError: the archive is damaged.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def of_npz(path: Path) -> Found:
    """Return the images and labels of an archive; those of KIP and FRePo have channels last.

    Raises:
        CondenseryError: the archive is damaged, or has no images and labels under their usual names.
    """
    return of_mapping(path, arrays_of_npz(path), "npz of images and labels by name", whitened=True)


def of_npy(path: Path) -> Found:
    """Return the images of a ``.npy`` file, with the labels from the file next to it.

    Raises:
        CondenseryError: a file is damaged, or there is no file of labels next to that of the images.
    """
    return with_labels_beside(path, _array(path), "npy of images alone", _array)


def _array(path: Path) -> np.ndarray:
    with readable(path):
        with path.open("rb") as stream:
            shape, _, dtype = npy_head(stream)
            wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if dtype.hasobject or wanted > path.stat().st_size:
                raise ValueError(f"claims an array of {dtype} of shape {shape}, larger than the file")
        return np.load(path, allow_pickle=False)
