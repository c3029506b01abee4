"""A few numbers that summarize a table, as JSON, which `dvc metrics` shows and compares between runs."""

from __future__ import annotations

import json

import pandas as pd

Metrics = dict[str, float]
"""Name of a number -> the number, which is never NaN."""


def of(frame: pd.DataFrame, accuracy: str = "mean", std: str = "std") -> Metrics:
    """Summarize the cells of a table, which are in its CSV file.

    Args:
        frame: one line per measured cell; ``difference`` is the difference from the published accuracy, or
            NaN.
        accuracy: the column of the mean accuracy.
        std: the column of its standard deviation.

    Returns:
        ``cells``, the number of cells; ``accuracy`` and ``std``, their means over the cells. If cells have a
        published accuracy: ``compared``, the number of such cells; ``difference``, the mean difference; and
        ``farthest``, the difference with the largest absolute value. In percentage points, four digits.
    """
    found = {"cells": len(frame), "accuracy": frame[accuracy].mean(), "std": frame[std].mean()}
    if "difference" in frame and len(differences := frame["difference"].dropna()):
        farthest = differences.loc[differences.abs().idxmax()]
        found |= {"compared": len(differences), "difference": differences.mean(), "farthest": farthest}
    return {name: round(float(value), 4) for name, value in found.items() if not pd.isna(value)}


def text(metrics: Metrics) -> str:
    """Write metrics as a JSON file."""
    return json.dumps(metrics, indent=1) + "\n"
