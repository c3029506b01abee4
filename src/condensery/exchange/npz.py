"""A synthetic set as a NumPy archive, lossless and without pickles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from condensery.data.contents import arrays_of_npz
from condensery.errors import CondenseryError
from condensery.exchange.checks import check_pixels, existing
from condensery.files import atomic
from condensery.synthetic import SyntheticSet


def to_npz(synthetic: SyntheticSet, path: Path) -> None:
    """Write a NumPy archive without pickles; equal sets give equal bytes.

    Entries: ``images`` (N, C, H, W) float32 normalized, ``labels``, ``classes``, ``mean``, ``std``,
    ``provenance`` (JSON text), and ``learning_rate``, ``formation`` and ``whitening`` if the set has them.
    """
    entries: dict[str, Any] = {
        "images": synthetic.images.cpu().numpy(),
        "labels": synthetic.labels.cpu().numpy(),
        "classes": np.array(synthetic.classes),
        "mean": np.array(synthetic.mean),
        "std": np.array(synthetic.std),
        "provenance": np.array(json.dumps(synthetic.provenance, sort_keys=True)),
    }
    rate = synthetic.learning_rate
    if rate is not None:
        entries["learning_rate"] = rate.cpu().numpy() if isinstance(rate, Tensor) else np.array(rate)
    if synthetic.formation > 1:
        entries["formation"] = np.array(synthetic.formation)
    if synthetic.whitening:
        entries["whitening"] = np.array(synthetic.whitening)
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **entries)


def from_npz(path: Path) -> SyntheticSet:
    """Read an archive with the entries of `to_npz`; a learning rate without dimensions becomes a number.

    Raises:
        CondenseryError: the file is absent, damaged, or lacks an entry.
    """
    path = existing(path)
    try:
        entries = arrays_of_npz(path)
        rate = entries.get("learning_rate")
        synthetic = SyntheticSet(
            torch.from_numpy(entries["images"]),
            torch.from_numpy(entries["labels"]),
            tuple(entries["classes"].tolist()),
            tuple(entries["mean"].tolist()),
            tuple(entries["std"].tolist()),
            json.loads(entries["provenance"].item()),
            None if rate is None else rate.item() if rate.ndim == 0 else torch.from_numpy(rate),
            entries["formation"].item() if "formation" in entries else 1,
            str(entries["whitening"].item()) if "whitening" in entries else "",
        )
    except KeyError as error:
        raise CondenseryError(f"{path}: has no entry {error}; write it as export_set.py does") from error
    except Exception as error:  # of whatever type and shape the entries are
        raise CondenseryError(f"{path}: not a synthetic set as .npz ({error}); export it again") from error
    synthetic.source = str(path)
    check_pixels(synthetic)
    return synthetic
