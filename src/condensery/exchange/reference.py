"""Synthetic sets in the ``.pt`` layout of the authors' public code, in which DC, DSA and DM are published."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.exchange.checks import existing
from condensery.exchange.found import Choices, Found, Normalization, is_array
from condensery.exchange.torch_file import load_safely
from condensery.files import atomic
from condensery.synthetic import SyntheticSet


def to_reference_pt(sets: Sequence[SyntheticSet], path: Path) -> None:
    """Write sets in the layout that the authors' public code reads, one entry per experiment.

    The layout is ``{"data": [[images, labels], ...], "accs_all_exps": {}}`` with normalized float32 images
    and int64 labels. It cannot hold provenance or learned learning rates; stored images that hold several
    images each are written decoded. The file contains only tensors and plain containers, so that
    ``torch.load`` reads it with its safe default. Equal sets give equal bytes.

    Args:
        sets: synthetic sets of one data set, with hard labels.
        path: the file to write.

    Raises:
        CondenseryError: a set has soft labels, or the sets are not of one data set.
    """
    for each in sets:
        if each.labels.ndim != 1:
            raise CondenseryError(f"{each.source}: the .pt layout has no soft labels; export it as npz")
        if each.classes != sets[0].classes or each.images.shape[1:] != sets[0].images.shape[1:]:
            raise CondenseryError(
                f"{each.source}: not of the data set of {sets[0].source}; export it separately"
            )
    sets = [each.decoded() for each in sets]
    # Not directly to the file: torch.save would write the file's temporary name into it.
    buffer = io.BytesIO()
    data = [[each.images.cpu().contiguous(), each.labels.cpu().contiguous()] for each in sets]
    torch.save({"data": data, "accs_all_exps": {}}, buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def from_reference_pt(
    path: Path,
    info: DataInfo,
    experiment: int = 0,
    normalization: Normalization | None = None,
) -> SyntheticSet:
    """Read one experiment of a ``.pt`` file in the layout that the authors' public code writes.

    The file is read with ``weights_only=True``: it can hold tensors, containers and numbers, and no code.

    Args:
        path: the file.
        info: the data set that the images stand for.
        experiment: index of the entry in ``data``, from 0.
        normalization: mean and std of the pixels in the file, if they differ from those of `info`. (The sets
            published with the DSA paper have the CIFAR-10 values for CIFAR-100.)

    Raises:
        CondenseryError: the file is absent, unsafe, of another layout, or does not match the data.
    """
    path = existing(path)
    return entry_of(path, load_safely(path), experiment).as_set(
        path, info, Choices(normalization=normalization)
    )


def entry_of(path: Path, content: Any, experiment: int) -> Found:
    """Return one experiment of a file in that layout.

    Args:
        path: the file, for messages.
        content: the content of the file, as `load_safely` returns it.
        experiment: index of the entry in ``data``, from 0.

    Raises:
        CondenseryError: the content has another layout, or no such experiment.
    """
    data = content.get("data") if isinstance(content, dict) else None
    if not isinstance(data, list | tuple) or not data:
        raise CondenseryError(f"{path}: has no list 'data' of [images, labels]; give a file of that layout")
    if not 0 <= experiment < len(data):
        raise CondenseryError(f"{path}: has experiments 0 to {len(data) - 1}, not {experiment}; choose one")
    entry = data[experiment]
    if not isinstance(entry, list | tuple) or len(entry) != 2 or not all(map(is_array, entry)):
        raise CondenseryError(f"{path}: experiment {experiment} is not [images, labels]; give another file")
    return Found(entry[0], entry[1], "pt", otherwise="normalized", experiment=experiment)
