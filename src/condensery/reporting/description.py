"""Describe a file that condensery wrote: its kind, its settings and its numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from condensery import rows
from condensery.errors import CondenseryError
from condensery.files import TensorFile
from condensery.reporting import continual_cells, published, search_cells, tables
from condensery.reporting.cells import COLUMNS, cells
from condensery.reporting.layout import ABSENT, count, measured
from condensery.reporting.layout import published as published_value

_SEEDS = ("set_seed", "network_seed", "order_seed", "repeat")
_COORDINATES = (
    *("protocol", "dataset", "method", "proxy", "ipc", "recipe", "condense_network", "evaluate_network"),
    *("steps", "distillation", "step"),
)
_SETTINGS = (
    *(*_COORDINATES, "images", "epochs", "device", "precision", *rows.USE.names),
    *("torch", "condensery", "commit"),
)
"""The columns with the settings of a result, if a file has them."""


def describe(path: Path, folder: Path | None = None) -> str:
    """Describe a file, in lines without a newline at the end.

    Args:
        path: a synthetic set or another file of tensors, a row file, or the CSV file of a table.
        folder: the folder of the published numbers, which are shown with those of rows.

    Raises:
        CondenseryError: the file is absent, damaged, or none of these.
    """
    if not path.is_file():
        raise CondenseryError(f"{path}: no such file: give a synthetic set, a row file or a table")
    kinds = {".safetensors": _tensors, ".parquet": lambda file: _rows(file, folder), ".csv": _table}
    if path.suffix not in kinds:
        raise CondenseryError(
            f"{path}: not a file of a known kind: give a .safetensors, a .parquet, or the .csv of a table"
        )
    try:
        what, facts, numbers = kinds[path.suffix](path)
    except (CondenseryError, OSError, MemoryError):
        raise
    except Exception as error:  # of whatever types the entries of a description are
        raise CondenseryError(f"{path}: not a file of its kind ({error}); make or fetch it again") from error
    return "\n".join([f"{path}: {what}", *_aligned(facts), *(f"  {line}" for line in numbers)])


def numbers(path: Path, folder: Path) -> str:
    """Return the numbers of a row file, one line per cell, with the published numbers.

    Args:
        path: the row file.
        folder: the folder of the published numbers, which need not exist.

    Raises:
        CondenseryError: the file is absent, damaged, or not a row file.
    """
    return "\n".join(_rows(path, folder if folder.is_dir() else None)[2])


def _tensors(path: Path) -> tuple[str, dict[str, Any], list[str]]:
    try:
        file = TensorFile(path)
    except ValueError as error:
        raise CondenseryError(f"{path}: {error}; make or fetch the file again") from error
    about = file.about
    provenance = about.get("provenance", {})
    if str(about.get("schema", "")).startswith("synthetic-set/"):
        what = _set(file, provenance)
    elif "states" in about:
        accuracies = [state["accuracy"] for state in about["states"]]
        if None in accuracies:
            what = f"experts, {len(accuracies)} states"
        else:
            what = f"pool, {len(accuracies)} states of {min(accuracies):.1f} to {max(accuracies):.1f} %"
    elif "kind" in about:
        what = f"generator, {about['kind']}"
    elif "forgetting_events" in file.names:
        what = f"features: {about['network']}, trained on {about['dataset']}"
    else:
        raise CondenseryError(f"{path}: tensors of an unknown kind: give a file that a command wrote")
    facts = _flat(
        {**provenance.get("experiment", {}), **{k: v for k, v in provenance.items() if k != "experiment"}}
    )
    return what, facts or {"provenance": "none: the file has no provenance"}, []


def _set(file: TensorFile, provenance: Mapping[str, Any]) -> str:
    number, *shape = file.shape("images")
    names = file.about["classes"]
    of = f"{len(provenance['shard'])} of {len(names)}" if "shard" in provenance else str(len(names))
    part = "part of a synthetic set" if "shard" in provenance else "synthetic set"
    soft = ", soft labels" if len(file.shape("labels")) == 2 else ""
    rates = ", learned learning rates" if "learning_rate" in file.names or file.about["learning_rate"] else ""
    parts = file.about.get("formation", 1)
    holding = f" that hold {parts}x{parts} each ({number * parts**2} to train on)" if parts > 1 else ""
    return f"{part}, {number} images of {'x'.join(map(str, shape))}{holding}, {of} classes{soft}{rates}"


def _rows(path: Path, folder: Path | None) -> tuple[str, dict[str, Any], list[str]]:
    kind = rows.kind_of(path)
    frame = rows.read_rows([path], rows.protocol_of(path), kind)
    what = f"rows of {kind.script}, {len(frame)} in all"
    if kind is not rows.EVALUATION:
        return what, _constant(frame), _means(frame, kind)
    known = published.accuracies(folder) if folder else pd.DataFrame(columns=list(published.CELL))
    note = [] if folder else ["published values: not shown, since their folder is absent"]
    return what, _constant(frame), [*_cells(cells(frame, known)), *note]


def _table(path: Path) -> tuple[str, dict[str, Any], list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        head = tuple(next(csv.reader(stream), ()))
    if head == COLUMNS:
        frame = tables.read_cells(path)
        done = frame[frame["networks"] > 0]
        return f"table, {len(done)} measured cells", _constant(done), _cells(frame)
    if head == continual_cells.COLUMNS:
        frame = continual_cells.read_cells(path)
        return f"table of continual learning, {len(frame)} cells", _constant(frame), _cells(frame)
    if head == search_cells.COLUMNS:
        frame = search_cells.read(path)
        tested = [f"{m:.1f} ± {s:.1f}" for m, s in zip(frame["test_mean"], frame["test_std"], strict=True)]
        names = ["proxy", "ipc", "test", "published_test", "spearman_top", "published_spearman"]
        return "table of an architecture search", _constant(frame), _grid(frame.assign(test=tested)[names])
    raise CondenseryError(f"{path}: not a table of accuracies: give one that a command wrote")


def _cells(frame: pd.DataFrame) -> list[str]:
    """Return one line per cell: coordinates, measured and published number."""
    keys = [name for name in _COORDINATES if name in frame]
    shown = [name for name in keys if name == "method" or frame[name].nunique() > 1]
    lines = frame[shown].assign(
        accuracy=[measured(cell) if cell["networks"] else ABSENT for cell in frame.to_dict("records")],
        n=[count(cell) for cell in frame.to_dict("records")],
        published=[
            ABSENT if math.isnan(cell["published_mean"]) else f"{published_value(cell)} ({cell['source']})"
            for cell in frame.to_dict("records")
        ],
    )
    return _grid(lines)


def _means(frame: pd.DataFrame, kind: rows.Kind) -> list[str]:
    """Return one line per group of networks that differ only in seeds: mean, population deviation, count."""
    keys = [name for name in kind.coordinates if name not in _SEEDS]
    values = [name for name in frame if name.endswith("accuracy") and frame[name].notna().any()]
    groups = frame.groupby(keys, sort=False)[values]
    mean, spread, number = groups.mean(), groups.std(ddof=0), groups.count()
    lines = mean.index.to_frame(index=False)
    lines = lines[[name for name in lines if lines[name].nunique() > 1]]
    for name in values:
        lines[name] = [f"{m:.1f} ± {s:.1f}" for m, s in zip(mean[name], spread[name], strict=True)]
    lines["n"] = number[values[0]].to_numpy()
    return _grid(lines)


def _constant(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the settings that all lines share."""
    named = [name for name in _SETTINGS if name in frame]
    found = {name: frame[name].iloc[0] for name in named if len(frame) and frame[name].nunique() == 1}
    return found | {name: f"{found[name]:,.0f}" for name in rows.USE.names if name in found}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping with dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        nested = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        found |= nested
    return found


def _aligned(facts: Mapping[str, Any]) -> Iterable[str]:
    width = max(map(len, facts), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in facts.items() if value != ""]


def _grid(frame: pd.DataFrame) -> list[str]:
    return frame.to_string(index=False, na_rep=ABSENT).splitlines()
