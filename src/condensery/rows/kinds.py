"""The kinds of result rows: their columns, and the coordinates that identify a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

_RUN = (
    ("train_seconds", pa.float64()),
    ("test_seconds", pa.float64()),  # on whatever images the network was tested
    *((name, pa.string()) for name in ("device", "precision", "torch", "python", "condensery", "commit")),
)

SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in (
            ("protocol", pa.string()),
            ("dataset", pa.string()),
            ("method", pa.string()),
            ("ipc", pa.int64()),  # images per class; 0 for the whole training set
            ("condense_network", pa.string()),  # "" when no network was involved
            ("evaluate_network", pa.string()),
            ("recipe", pa.string()),
            ("set_seed", pa.int64()),
            ("network_seed", pa.int64()),
            ("images", pa.int64()),  # training images
            ("epochs", pa.int64()),
            ("accuracy", pa.float64()),  # percent of the test split, 0 to 100
            *_RUN,
        )
    ]
)
"""Names, types and order of the columns of a row file, before those of `IDENTITY`."""

COORDINATES = (
    "protocol",
    "dataset",
    "ipc",
    "method",
    "recipe",
    "condense_network",
    "evaluate_network",
    "set_seed",
    "network_seed",
)
"""The columns that identify a row: no two rows agree in all of them."""


IDENTITY = (
    "data",  # digest of the data set's images, classes and normalization
    "code",  # digest of the code that computes
    "set",  # digest of the set that was trained on, or of several; "" for a whole data set
    "set_name",  # its file
    "set_settings",  # digest of how it was made, but for its seed
    "set_code",  # digest of the code that made it, or its commit
)
"""Columns that identify the inputs of a row, all texts. Rows of earlier code lack them; "" means unknown."""

USE = pa.schema([pa.field(name, pa.float64()) for name in ("memory_mb", "device_mb", "device_reserved_mb")])
"""Columns of the job's peak memory, see `Device.peak_memory`. Rows of earlier code lack them."""


STORAGE = pa.schema(
    [
        pa.field("images_stored", pa.int64()),  # fewer than are trained on where they hold several each
        pa.field("pixel_bytes", pa.int64()),  # of their pixels as 8-bit values
        pa.field("label_bytes", pa.int64()),  # of soft labels as float32; 0 for hard ones
    ]
)
"""Columns of sets whose storage differs from their training images with hard labels."""


@dataclass(frozen=True)
class Kind:
    """A kind of rows.

    Attributes:
        columns: names, types and order of the columns, including ``protocol``. Columns whose name ends with
            ``accuracy`` are percentages; only nullable columns may have empty values.
        coordinates: the columns that identify a row: no two rows agree in all of them.
        script: the script that writes such rows.
        optional: columns that a file may lack; they are then empty in the frame.
    """

    columns: pa.Schema
    coordinates: tuple[str, ...]
    script: str
    optional: pa.Schema = USE

    @property
    def schema(self) -> pa.Schema:
        """The columns that every row has, those of `IDENTITY` at the end."""
        return pa.schema([*self.columns, *(pa.field(name, pa.string(), nullable=False) for name in IDENTITY)])

    def schema_with(self, names: Iterable[str]) -> pa.Schema:
        """Return the schema with the optional columns that are among some names."""
        present = set(names)
        return pa.schema([*self.schema, *(column for column in self.optional if column.name in present)])


EVALUATION = Kind(SCHEMA, COORDINATES, "scripts/evaluate.py", pa.schema([*STORAGE, *USE]))
"""One row per network that was trained from scratch on one set and tested once."""


_MEMORY = {
    "order_seed": pa.int64(),  # of the order of the classes, of the memory and of the networks
    "steps": pa.int64(),
    "step": pa.int64(),  # from 1
    "task": pa.string(),  # the data set that the step learned
    "tested": pa.string(),  # the data set of the test images
    "distillation": pa.bool_(),  # held to the outputs of the network before the step
    "classes_seen": pa.int64(),
    "memory_images": pa.int64(),
    "memory_bytes": pa.int64(),  # of their pixels as float32
    "memory_bytes_8bit": pa.int64(),  # of their pixels as 8-bit values
}

MEMORY = Kind(
    pa.schema(
        [field for field in SCHEMA if field.name != "set_seed"]
        + [pa.field(name, kind, nullable=False) for name, kind in _MEMORY.items()]
    ),
    (
        *("protocol", "dataset", "steps", "ipc", "condense_network", "evaluate_network", "recipe", "method"),
        *("distillation", "order_seed", "network_seed", "step", "tested"),
    ),
    "scripts/continual.py or scripts/continual_domains.py",
)
"""A row is one network after one step, tested on one data set."""

_SNAPSHOT = {
    "step": pa.int64(),  # iterations that the set had been condensed for
    "condense_seconds": pa.float64(),  # what they took
    "condense_device": pa.string(),  # where
}

SNAPSHOT = Kind(
    pa.schema([*SCHEMA, *(pa.field(name, kind, nullable=False) for name, kind in _SNAPSHOT.items())]),
    (*COORDINATES, "step"),
    "scripts/evaluate.py, from a snapshot that scripts/condense.py took",
    EVALUATION.optional,
)
"""A row is one network trained on one snapshot of a set."""

EXAMINATION = Kind(
    pa.schema([*SCHEMA, pa.field("test", pa.string(), nullable=False)]),
    (*COORDINATES, "test"),
    "scripts/score.py, with --looks or --robustness",
)
"""A row is one network in one test: after some epochs, on corrupted images or under attack."""

_SEARCH = (
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
    ("test_accuracy", pa.float64()),  # percent; empty where the search left the test images out
    *_RUN,
)

SEARCH = Kind(
    pa.schema([pa.field(name, kind, nullable=name.endswith("accuracy")) for name, kind in _SEARCH]),
    ("protocol", "dataset", "proxy", "ipc", "condense_network", "set_seed", "network", "repeat"),
    "scripts/search.py",
)
"""Rows of scripts/search.py, and of scripts/search_test.py, which have no validation accuracy."""


KINDS = (EVALUATION, MEMORY, SNAPSHOT, EXAMINATION, SEARCH)
