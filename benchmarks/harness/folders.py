"""Where results lie."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"


def of_device(label: str) -> Path:
    """Return the folder of a device: ``cpu (AMD EPYC, 2 threads)`` -> ``cpu-amd-epyc-2-threads``."""
    return RESULTS / re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
