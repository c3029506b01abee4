"""A few numbers that sum up a table, as JSON: `dvc metrics` shows them and compares runs by them."""

from __future__ import annotations

import json

import pandas as pd

Metrics = dict[str, float]
"""Name of a number -> the number; none is NaN."""


def of(frame: pd.DataFrame, accuracy: str = "mean", std: str = "std") -> Metrics:
    """Sum up the cells of a table; the cells themselves are in its CSV.

    Args:
        frame: one line per measured cell; ``difference`` is that from the published accuracy, if any.
        accuracy: the column of the mean accuracy.
        std: the column of its standard deviation.

    Returns:
        ``cells``, how many there are; ``accuracy`` and ``std``, their means over the cells; and, where cells
        have a published accuracy, ``compared``, how many; ``difference``, the mean difference from it; and
        ``farthest``, the difference that is farthest from zero. In percentage points, with four digits.
    """
    found = {"cells": len(frame), "accuracy": frame[accuracy].mean(), "std": frame[std].mean()}
    if "difference" in frame and len(differences := frame["difference"].dropna()):
        farthest = differences.loc[differences.abs().idxmax()]
        found |= {"compared": len(differences), "difference": differences.mean(), "farthest": farthest}
    return {name: round(float(value), 4) for name, value in found.items() if not pd.isna(value)}


def text(metrics: Metrics) -> str:
    """Write metrics as a JSON file."""
    return json.dumps(metrics, indent=1) + "\n"
