"""Files of result rows: written atomically with a digest, read with every value checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from condensery.errors import CondenseryError
from condensery.files import atomic
from condensery.rows.kinds import EVALUATION, IDENTITY, KINDS, Kind

_DIGEST = b"sha256"


def kind_of(path: Path) -> Kind:
    """Return the kind of the rows in a file, which its columns determine.

    Raises:
        CondenseryError: the file is absent or damaged, or no kind has its columns.
    """
    with _whole(path):
        names = set(_parquet(path).schema_arrow.names)
    for kind in KINDS:
        if (names | set(IDENTITY)) - set(kind.optional.names) == set(kind.schema.names):
            return kind
    raise CondenseryError(f"{path}: its columns are not those of any rows; give a file that a command wrote")


def protocol_of(path: Path) -> str:
    """Return the protocol of the first row of a file of any kind.

    Raises:
        CondenseryError: the file is absent, damaged or empty.
    """
    return _first(path, "protocol")


def data_of(path: Path) -> str:
    """Return the digest of the data set in the rows of a file of any kind; "" if the rows lack it.

    Raises:
        CondenseryError: the file is absent, damaged or empty.
    """
    with _whole(path):
        recorded = "data" in _parquet(path).schema_arrow.names
    return _first(path, "data") if recorded else ""


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path, kind: Kind = EVALUATION) -> None:
    """Write rows as one Parquet file, atomically.

    Args:
        rows: column -> value, in any order of the columns.
        path: the file.
        kind: the kind of the rows, which determines the columns and their order.

    Raises:
        CondenseryError: no rows, a row with missing, additional or mistyped entries, or a value or
            repetition that `read_rows` would refuse.
    """
    if not rows:
        raise CondenseryError(f"{path}: no rows to write; evaluate at least one network")
    rows = [{**dict.fromkeys(IDENTITY, ""), **row} for row in rows]
    schema = kind.schema_with(name for row in rows for name in row)
    for row in rows:
        _check_names(set(row), path, kind)
        empty = [field.name for field in schema if row.get(field.name) is None and not field.nullable]
        if empty:
            raise CondenseryError(f"{path}: a row has no value for {', '.join(empty)}; give one")
    try:
        table = pa.Table.from_pylist(rows, schema=schema)
        frame = table.to_pandas()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise CondenseryError(f"{path}: a row has an entry of the wrong type: {error}") from error
    _check_values(frame.assign(file=str(path)), kind)
    with atomic(path) as temporary:
        pq.write_table(table.replace_schema_metadata({_DIGEST: _digest(table)}), temporary)


def row_files(paths: Iterable[Path]) -> list[Path]:
    """Return the row files among the paths; a folder stands for all .parquet files in it and its sub-folders.

    Raises:
        CondenseryError: a path does not exist.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            # A file whose name begins with a dot is still being written.
            files += sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
        elif path.is_file():
            files.append(path)
        else:
            raise CondenseryError(f"{path}: no such row file; evaluate the set, or fetch it with `dvc pull`")
    return files


def read_rows(paths: Iterable[Path], protocol: str, kind: Kind = EVALUATION) -> pd.DataFrame:
    """Read row files into one frame.

    Args:
        paths: Parquet files that `write_rows` wrote.
        protocol: the protocol of all rows.
        kind: the kind of all rows.

    Returns:
        The columns of the kind, sorted by its coordinates, independent of the order of the files.

    Raises:
        CondenseryError: no rows at all; a file that is damaged or has other columns or types; an empty
            value; an accuracy outside 0 to 100; a row of another protocol; two rows with equal coordinates.
    """
    tables = [_read_file(path, kind) for path in paths]
    # Joined before pandas gets them, which takes a millisecond and more for every table.
    rows = pa.concat_tables(tables, promote_options="default").to_pandas() if tables else pd.DataFrame()
    if rows.empty:
        raise CondenseryError(
            f"no result rows of protocol {protocol!r}; give the row files of a table's cells"
        )
    foreign = rows[rows["protocol"] != protocol]
    if len(foreign):
        first = foreign.iloc[0]
        raise CondenseryError(
            f"{first['file']}: holds rows of protocol {first['protocol']!r}, not {protocol!r}; "
            "give row files of one protocol"
        )
    _check_values(rows, kind)
    return rows.drop(columns="file").sort_values(list(kind.coordinates), ignore_index=True)


def select(rows: pd.DataFrame, wanted: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return the rows with given coordinates, in their order.

    Args:
        rows: rows as `read_rows` returns them.
        wanted: mappings of coordinates to values, all with the same coordinates.

    Raises:
        CondenseryError: one of the coordinates has no row.
    """
    names = list(wanted[0])
    chosen = pd.DataFrame(list(wanted))[names].drop_duplicates()
    found = rows.merge(chosen, on=names)
    missing = chosen.merge(rows[names].drop_duplicates(), on=names, how="left", indicator=True)
    missing = missing[missing["_merge"] == "left_only"]
    if len(missing):
        first = ", ".join(f"{name} {missing.iloc[0][name]}" for name in names if missing.iloc[0][name] != "")
        raise CondenseryError(
            f"no rows of {len(missing)} of {len(chosen)} evaluations, such as {first}; run them"
        )
    return found


def read_table(path: Path) -> pa.Table:
    """Read a row file of any kind, and verify its digest.

    Raises:
        CondenseryError: the file is damaged, or was altered since it was written.
    """
    with _whole(path):
        table = _parquet(path).read()
        # Rows of earlier code have no digest, and no other entry than what pandas may add.
        entries = {key: value for key, value in (table.schema.metadata or {}).items() if key != b"pandas"}
        if entries and entries.get(_DIGEST) != _digest(table):
            raise ValueError("altered since it was written")
    return table


def _read_file(path: Path, kind: Kind) -> pa.Table:
    """Return the rows of a file, whose path is in the column ``file``."""
    table = read_table(path)
    for name in [name for name in IDENTITY if name not in table.column_names]:
        table = table.append_column(name, pa.array([""] * len(table), pa.string()))
    _check_names(set(table.column_names), path, kind)
    schema = kind.schema_with(table.column_names)
    for field in schema:
        found = table.schema.field(field.name).type
        if found != field.type:
            raise CondenseryError(
                f"{path}: column {field.name!r} holds {found}, not {field.type}; make it again"
            )
        if table[field.name].null_count and not field.nullable:
            raise CondenseryError(f"{path}: column {field.name!r} has an empty value; make the file again")
    return table.select(schema.names).append_column("file", pa.array([str(path)] * len(table), pa.string()))


def _digest(table: pa.Table) -> bytes:
    """Return the SHA-256 of names and values; Parquet's own checksums do not cover the metadata."""
    text = json.dumps([table.column_names, table.to_pylist()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest().encode()


def _parquet(path: Path) -> pq.ParquetFile:
    with _whole(path):
        return pq.ParquetFile(path)


def _first(path: Path, name: str) -> str:
    with _whole(path):
        column = _parquet(path).read([name])[name]
    if not len(column):
        raise CondenseryError(f"{path}: has no rows; make it again")
    return column[0].as_py()


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turn any exception that a reader raises on a damaged file into one line."""
    try:
        yield
    except CondenseryError:
        raise
    except FileNotFoundError as error:
        raise CondenseryError(f"{path}: no such row file; evaluate the set first") from error
    except Exception as error:  # Arrow's own, those of the system, of decoding names, of sizes beyond memory
        raise CondenseryError(f"{path}: not a complete Parquet file ({error}); make it again") from error


def _check_names(names: set[str], path: Path, kind: Kind) -> None:
    missing = set(kind.schema.names) - names
    unknown = names - {*kind.schema.names, *kind.optional.names}
    if missing or unknown:
        problems = [f"lacks {', '.join(sorted(missing))}"] if missing else []
        problems += [f"has unknown {', '.join(sorted(unknown))}"] if unknown else []
        raise CondenseryError(f"{path}: a row {' and '.join(problems)}; make the rows with {kind.script}")


_RANGES = {"accuracy": (100.0, "a percentage from 0 to 100"), "seconds": (math.inf, "a time")}
"""End of a column's name -> the largest value, and a description for messages."""


def _check_values(rows: pd.DataFrame, kind: Kind) -> None:
    """Check values and coordinates; `file` is an additional column for the messages."""
    for field in kind.schema:
        unit = field.name.rpartition("_")[2]
        if unit not in _RANGES:
            continue
        most, what = _RANGES[unit]
        present = rows if not field.nullable else rows[rows[field.name].notna()]
        wrong = present[~present[field.name].between(0, most) | (present[field.name] == math.inf)]
        if len(wrong):
            first = wrong.iloc[0]
            raise CondenseryError(
                f"{first['file']}: {field.name} {first[field.name]} is not {what}; make it again"
            )
    names = list(kind.coordinates)
    again = rows[rows.duplicated(names)]
    if len(again):
        second = again.iloc[0]
        first = rows[(rows[names] == second[names]).all(axis=1)].iloc[0]
        location = ", ".join(f"{name} {second[name]}" for name in names)
        raise CondenseryError(
            f"{second['file']}: the row of {location} is also in {first['file']}; give every row once"
        )
