"""Synthetic sets in the ``.pt`` layout of the authors' public code, in which sets are published."""

from __future__ import annotations

import _codecs
import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.data import DataInfo
from condensery.data.contents import readable
from condensery.data.formats import check_stored
from condensery.errors import CondenseryError
from condensery.exchange.checks import existing, for_data
from condensery.files import atomic
from condensery.synthetic import SyntheticSet

# The published files carry their accuracies as NumPy numbers, which the safe reader of PyTorch refuses by
# default. These few constructors make numbers and nothing else; NumPy 1 and 2 spell the first differently.
_scalar: Any = np.float64(0).__reduce__()[0]
_SAFE: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_scalar, "numpy._core.multiarray.scalar"),
    (_scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64")),
    _codecs.encode,
]


def to_reference_pt(sets: Sequence[SyntheticSet], path: Path) -> None:
    """Write sets in the layout that the authors' public code reads, one entry per experiment.

    The layout is ``{"data": [[images, labels], ...], "accs_all_exps": {}}`` with normalized float32 images
    and int64 labels; it cannot hold provenance or learned learning rates, and images that hold several each
    are written decoded. The file holds tensors and plain containers only, so that ``torch.load`` reads it
    with its safe default. Equal sets give equal bytes.

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
    normalization: tuple[Sequence[float], Sequence[float]] | None = None,
) -> SyntheticSet:
    """Read one experiment of a ``.pt`` file in the layout that the authors' public code writes.

    The file is read with ``weights_only=True``: it can hold tensors, containers and numbers, and no code.

    Args:
        path: the file.
        info: the data set that the images stand for.
        experiment: which entry of ``data``, from 0.
        normalization: the mean and std that the file was made with, when they are not those of `info`. (The
            sets published with the DSA paper use the CIFAR-10 values for CIFAR-100.)

    Raises:
        CondenseryError: the file is absent, unsafe, of another layout, or does not match the data.
    """
    path = existing(path)
    data = _load_safely(path)
    data = data.get("data") if isinstance(data, dict) else None
    if not isinstance(data, (list, tuple)) or not data:
        raise CondenseryError(f"{path}: has no list 'data' of [images, labels]; give a file of that layout")
    if not 0 <= experiment < len(data):
        raise CondenseryError(f"{path}: has experiments 0 to {len(data) - 1}, not {experiment}; choose one")
    entry = data[experiment]
    if not isinstance(entry, (list, tuple)) or len(entry) != 2 or not all(map(torch.is_tensor, entry)):
        raise CondenseryError(f"{path}: experiment {experiment} is not [images, labels]; give another file")
    with readable(path):
        for tensor in entry:
            check_stored(tensor)
        images = _pixels(path, entry[0].detach(), info, normalization is not None)
        labels = _labels(path, entry[1].detach(), info)
    if not images.isfinite().all():
        raise CondenseryError(
            f"{path}: experiment {experiment} has pixels that are not finite; choose another"
        )
    if normalization is not None and images.ndim == 4 and images.shape[1] == info.channels:
        images = _renormalize(path, images, normalization, info)
    source = {
        "format": "pt",
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "experiment": experiment,
    }
    return for_data(
        path,
        info,
        images=images,
        labels=labels,
        classes=None,
        provenance={"imported": source},
    )


def _pixels(path: Path, images: Tensor, info: DataInfo, normalization: bool) -> Tensor:
    """Return the images as float32, if their values can be what they are said to be."""
    if images.is_complex():
        raise CondenseryError(f"{path}: its pixels are complex numbers; give real ones")
    if not images.is_floating_point() and not normalization:
        raise CondenseryError(
            f"{path}: its pixels are whole numbers, which no normalized ones are; for 0 to 255 give --mean "
            f"and --std, {info.channels} times 0 and 0.0039216"
        )
    # Normalized, dark pixels are negative.
    low, high = images.aminmax() if images.numel() else (images.new_zeros(()), images.new_zeros(()))
    if not normalization and 0 <= low < high <= 1 and min(info.mean) > 0:
        raise CondenseryError(
            f"{path}: its pixels are all from 0 to 1, as they are before normalization; give --mean and "
            f"--std, {info.channels} times 0 and 1"
        )
    return images.float().contiguous()


def _labels(path: Path, labels: Tensor, info: DataInfo) -> Tensor:
    """Return classes, (N,) int64, or one probability per class, (N, classes) float32."""
    if labels.is_complex():
        raise CondenseryError(f"{path}: its labels are complex numbers; give classes or probabilities")
    if labels.ndim == 2 and labels.shape[1] == len(info.classes) > 1:
        return labels.float().contiguous()
    if labels.is_floating_point() and not torch.equal(labels, labels.round()):
        raise CondenseryError(
            f"{path}: its labels are not whole numbers; give a class per image, or a probability per class"
        )
    labels = labels.long().flatten()
    if len(labels) and labels.min() == 1 and labels.max() == len(info.classes):
        raise CondenseryError(
            f"{path}: its labels count the {labels.max()} classes of {info.name} from 1; save each less 1"
        )
    return labels


def _load_safely(path: Path) -> Any:
    try:
        # PyTorch does not compare the checksums of the archive.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{damaged} differs from its checksum")
        with torch.serialization.safe_globals(_SAFE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CondenseryError(
            f"{path}: holds something other than tensors and numbers, which is not safe to read; "
            "ask for a plain file"
        ) from error
    except PermissionError:
        raise
    except Exception as error:  # what a damaged file makes PyTorch raise is of any kind
        raise CondenseryError(f"{path}: not a complete file of torch.save; fetch it again") from error


def _renormalize(
    path: Path, images: Tensor, normalization: tuple[Sequence[float], Sequence[float]], info: DataInfo
) -> Tensor:
    """Move images from one normalized space to another, without clamping."""
    if not all(len(values) == info.channels for values in normalization):
        raise CondenseryError(
            f"{path}: {info.name} has {info.channels} channels; give one mean and std for each"
        )
    old_mean, old_std, mean, std = (
        torch.tensor(values, dtype=torch.float32).reshape(1, -1, 1, 1)
        for values in (*normalization, info.mean, info.std)
    )
    return (images * old_std + old_mean - mean) / std
