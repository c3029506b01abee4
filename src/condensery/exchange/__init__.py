"""Synthetic sets in other formats: PNG folders, NumPy archives, Parquet, the authors' ``.pt``."""

from __future__ import annotations

from condensery.exchange.found import LabelKind, Space
from condensery.exchange.npz import from_npz, to_npz
from condensery.exchange.parquet import to_parquet
from condensery.exchange.png import from_png_folders, to_png_folders
from condensery.exchange.reading import FORMATS, read
from condensery.exchange.reference import from_reference_pt, to_reference_pt

__all__ = [
    "FORMATS",
    "LabelKind",
    "Space",
    "from_npz",
    "from_png_folders",
    "from_reference_pt",
    "read",
    "to_npz",
    "to_parquet",
    "to_png_folders",
    "to_reference_pt",
]
