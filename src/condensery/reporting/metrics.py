"""The numbers of a table as JSON, for `dvc metrics` to compare runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import pandas as pd

from condensery.reporting.layout import Cell

Metrics = dict[str, dict[str, float]]
"""Cell -> name of a number -> the number; none is NaN."""


def of(frame: pd.DataFrame, name: Callable[[Cell], str], numbers: Mapping[str, str]) -> Metrics:
    """Return the numbers of cells.

    Args:
        frame: one line per cell.
        name: returns the unique name of a cell.
        numbers: column -> name of its number; NaN values are left out.
    """
    return {
        name(cell): {
            called: round(float(cell[column]), 4)
            for column, called in numbers.items()
            if not math.isnan(cell[column])
        }
        for cell in frame.to_dict("records")
    }


def cell_name(cell: Cell) -> str:
    """Name a cell by the path of its rows: ``cifar10/dm/convnet/ipc10/dsa-convnet``."""
    ipc = f"ipc{cell['ipc']}" if cell["ipc"] else ""
    trained = f"{cell['recipe']}-{cell['evaluate_network']}"
    return "/".join(filter(None, [cell["dataset"], cell["method"], cell["condense_network"], ipc, trained]))


def text(metrics: Metrics) -> str:
    """Write metrics as a JSON file."""
    return json.dumps(metrics, indent=1) + "\n"
