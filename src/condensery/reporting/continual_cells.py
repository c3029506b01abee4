"""Rows of continual learning, and its cells: the accuracy of the networks of a memory after each step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment.memories import RECIPE
from condensery.reporting import agreement
from condensery.reporting.cells import NUMBERS, deviations, joined, run_counts
from condensery.reporting.labels import Labels

KEYS = ("protocol", "dataset", "steps", "ipc", "method", "recipe", "distillation", "step")
"""The columns that identify a cell."""

_ONE = ("task", "classes_seen", "images", "memory_images", "memory_bytes", "memory_bytes_8bit", "epochs")
_PROVENANCE = ("device", "precision", "torch", "condensery", "commit")

COLUMNS = (
    *KEYS,
    *("mean", "std", "std_between_orders", "std_between_networks", "orders", "networks", "n"),
    *("published_mean", "published_std", "difference", "source"),
    *_ONE,
    *_PROVENANCE,
    "seconds",
)
"""All columns of cells, in the order of the CSV file."""

_TEXTS = ("protocol", "dataset", "method", "recipe", "n", "source", "task", *_PROVENANCE)
_EMPTY = {name: [""] for name in (*NUMBERS, "std_between_orders")}


def cells(measured: pd.DataFrame, published: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Aggregate rows over orders and networks.

    The accuracies of a network on several data sets are averaged first, so that each data set has the same
    weight. Mean and population standard deviation are over the networks of all orders.

    Args:
        measured: rows of the kind `rows.MEMORY`, as `rows.read_rows` returns them.
        published: accuracies after the last step, as `published.continual` returns them.
        labels: names for readers, and the order of the methods.

    Returns:
        One line per cell with `COLUMNS`: methods in their order, networks that trained on the memory alone
        after the others, steps ascending.

    Raises:
        CondenseryError: the rows of a cell do not agree, or a network lacks a test.
    """
    lines = []
    for key, group in measured.groupby(list(KEYS), sort=True):
        cell = dict(zip(KEYS, key, strict=True))
        lines.append(cell | _summary(cell, group) | _published(cell, published))
    frame = pd.DataFrame(lines)
    frame["difference"] = frame["mean"] - frame["published_mean"]
    order = labels.order(frame["method"])
    ranks = frame.assign(
        method=frame["method"].map(order.index),
        recipe=frame["recipe"] == RECIPE,
        distillation=~frame["distillation"],
    )
    return frame.loc[ranks.sort_values(list(KEYS)).index, list(COLUMNS)].reset_index(drop=True)


def read_cells(path: Path) -> pd.DataFrame:
    """Read back the CSV file of such cells.

    Raises:
        CondenseryError: the file is absent or is not such a table.
    """
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False, na_values=_EMPTY)
    except (FileNotFoundError, ValueError) as error:
        raise CondenseryError(
            f"{path}: not a table of continual learning; make it with scripts/continual_report.py"
        ) from error
    if tuple(frame.columns) != COLUMNS:
        raise CondenseryError(f"{path}: other columns; make it again with scripts/continual_report.py")
    return frame


def _summary(cell: dict[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    location = ", ".join(f"{name} {value}" for name, value in cell.items())
    agreement.check(location, group, ("order_seed", "task"))
    for name in _ONE:
        if group[name].nunique() > 1:
            values = " and ".join(str(value) for value in sorted(group[name].unique()))
            raise CondenseryError(
                f"{location}: rows with {values} as {name} in one cell; evaluate the older ones again"
            )
    runs = group.groupby(["order_seed", "network_seed"])
    tests = 1 if group["task"].iloc[0] == cell["dataset"] else cell["step"]
    if (runs["tested"].nunique() != tests).any():
        raise CondenseryError(
            f"{location}: not every network was tested on every data set; evaluate them again"
        )
    accuracies = runs["accuracy"].mean()
    by_order = [part.to_numpy() for _, part in accuracies.groupby("order_seed")]
    counts = [len(part) for part in by_order]
    summary = deviations(by_order)
    summary["std_between_orders"] = summary.pop("std_between_sets")
    summary |= {"orders": len(counts), "networks": sum(counts), "n": run_counts(counts)}
    summary |= {name: group[name].iloc[0] for name in _ONE}
    summary |= {name: joined(group[name]) for name in _PROVENANCE}
    summary["seconds"] = math.fsum(group["train_seconds"]) + math.fsum(group["test_seconds"])
    return summary


def _published(cell: dict[str, Any], published: pd.DataFrame) -> dict[str, Any]:
    names = ("dataset", "ipc", "steps", "method")
    same = published[(published[list(names)] == [cell[name] for name in names]).all(axis=1)]
    known = len(same) and cell["step"] == cell["steps"] and not cell["distillation"]
    return {
        "published_mean": float(same["published_mean"].iloc[0]) if known else math.nan,
        "published_std": math.nan,  # the paper prints none
        "source": same["source"].iloc[0] if known else "",
    }
