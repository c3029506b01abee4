"""Result rows of every kind: one row per trained network, with its accuracy."""

from __future__ import annotations

from condensery.rows.files import (
    data_of,
    kind_of,
    protocol_of,
    read_rows,
    read_table,
    row_files,
    select,
    write_rows,
)
from condensery.rows.kinds import (
    COORDINATES,
    EVALUATION,
    EXAMINATION,
    IDENTITY,
    KINDS,
    MEMORY,
    SCHEMA,
    SEARCH,
    SNAPSHOT,
    STORAGE,
    USE,
    Kind,
)

__all__ = [
    "COORDINATES",
    "EVALUATION",
    "EXAMINATION",
    "IDENTITY",
    "KINDS",
    "MEMORY",
    "SCHEMA",
    "SEARCH",
    "SNAPSHOT",
    "STORAGE",
    "USE",
    "Kind",
    "data_of",
    "kind_of",
    "protocol_of",
    "read_rows",
    "read_table",
    "row_files",
    "select",
    "write_rows",
]
