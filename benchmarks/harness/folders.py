"""Folders of results."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"


def of_device(label: str) -> Path:
    """Return a device's folder: ``cpu (AMD EPYC, AVX2, 2 threads)`` -> ``cpu-amd-epyc-avx2-2-threads``."""
    return RESULTS / re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
