"""The rows of a search: one row is one network, trained once on a proxy or on the whole set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from condensery.reporting.rows import Kind
from condensery.training import Outcome

_COLUMNS = (
    ("protocol", pa.string()),
    ("dataset", pa.string()),
    ("proxy", pa.string()),  # a method, early_stopping or whole
    ("ipc", pa.int64()),  # images per class of the proxy; 0 for early_stopping and whole
    ("condense_network", pa.string()),  # "" when no network was involved
    ("set_seed", pa.int64()),
    ("network", pa.string()),
    ("recipe", pa.string()),
    ("repeat", pa.int64()),
    ("network_seed", pa.int64()),
    ("images", pa.int64()),  # training images
    ("epochs", pa.int64()),
    ("steps", pa.int64()),  # batches that the network was trained on
    ("validation_accuracy", pa.float64()),  # percent; empty in rows of the test
    ("test_accuracy", pa.float64()),  # percent; empty in all others
    ("train_seconds", pa.float64()),
    ("test_seconds", pa.float64()),  # on the validation or the test images
    ("device", pa.string()),
    ("precision", pa.string()),
    ("torch", pa.string()),
    ("python", pa.string()),
    ("condensery", pa.string()),
    ("commit", pa.string()),
)

SEARCH = Kind(
    pa.schema([pa.field(name, kind, nullable=name.endswith("accuracy")) for name, kind in _COLUMNS]),
    ("protocol", "dataset", "proxy", "ipc", "condense_network", "set_seed", "network", "repeat"),
    "scripts/search.py",
)
"""Rows of scripts/search.py, which know no test image, and of scripts/search_test.py."""


def rows_of(
    names: Sequence[str], outcomes: Sequence[Sequence[Outcome]], measured: str, common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the rows of some networks.

    Args:
        names: the networks.
        outcomes: a list for each, with an outcome for each repeat.
        measured: what their accuracy is: ``validation_accuracy`` or ``test_accuracy``; the other is empty.
        common: the columns that all rows share.
    """
    empty = {"validation_accuracy": None, "test_accuracy": None}
    return [
        {
            **common,
            **empty,
            "network": name,
            "repeat": repeat,
            "network_seed": outcome.network_seed,
            measured: outcome.accuracy,
            "train_seconds": outcome.train_seconds,
            "test_seconds": outcome.test_seconds,
        }
        for name, each in zip(names, outcomes, strict=True)
        for repeat, outcome in enumerate(each)
    ]
