"""What all tests share: one thread each, no display, reproducible examples."""

from __future__ import annotations

import os

# Tests run side by side, one process a core. Set before PyTorch is imported, and inherited by the scripts
# that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from hypothesis import settings

settings.register_profile("condensery", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("condensery")
