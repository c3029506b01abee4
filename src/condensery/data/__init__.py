"""Real data sets: where they come from, how they are stored, how batches are drawn."""

from __future__ import annotations

from condensery.data.arrays import DataInfo, RealData, Split, normalize
from condensery.data.preparation import prepare, state_of_folder
from condensery.data.storage import load

__all__ = ["DataInfo", "RealData", "Split", "load", "normalize", "prepare", "state_of_folder"]
