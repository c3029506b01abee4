"""The common layout of all formats of a table: order of lines and columns, format of numbers, captions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensery import architectures
from condensery.errors import CondenseryError
from condensery.experiment.target_kinds import Layout
from condensery.progress import duration
from condensery.reporting.labels import Labels

Cell = Mapping[str, Any]
"""One line of the frame that `cells.cells` returns."""

ABSENT = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"

VERSIONS = {"condensery": "condensery", "commit": "commit", "torch": "PyTorch"}
"""The versions that captions print, and their names there."""


HEADS = {
    "dataset": "Data set",
    "ipc": "Images/class",
    "recipe": "Recipe",
    "method": "Method",
    "condense_network": "Condensed on",
    "evaluate_network": "Evaluated on",
}
"""The columns that identify a cell of a table, and their headings."""

SIZES = ("Images stored", "Trained on", "Bytes")
"""The headings of a set's storage: bytes of pixels as 8-bit values and of soft labels as float32."""


@dataclass(frozen=True)
class Grid:
    """A table as text: its heads and its lines."""

    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Line:
    """One line of the paper's layout: its titles, one per name of `Layout.lines`, and its cells by column."""

    titles: tuple[str, ...]
    cells: Mapping[str, Cell]


def order(name: str, values: Iterable[Any], labels: Labels) -> list[Any]:
    """Sort the distinct values of a column of cells.

    Methods are sorted by `Labels.order`, networks as in the papers, sizes in ascending order with the whole
    set last, and all other values by name.

    Args:
        name: name of the column.
        values: values of the column, in any order, with or without repetition.
        labels: the order of the methods.
    """
    if name == "method":
        return labels.order(values)
    if name.endswith("_network"):
        return sorted(set(values), key=architectures.sort_key)
    if name == "ipc":
        return sorted(set(values), key=lambda ipc: (ipc == 0, ipc))
    return sorted(set(values))


def matrix(frame: pd.DataFrame, layout: Layout, labels: Labels) -> tuple[list[str], list[Line]]:
    """Arrange cells in the paper's layout.

    Args:
        frame: cells; the lines are in the order of their first cells.
        layout: the columns of cells that identify lines and columns of the table.
        labels: names for readers.

    Returns:
        The sorted values of the table's columns, and the lines.

    Raises:
        CondenseryError: two rows of the frame have the same line and column.
    """
    lines: dict[tuple[Any, ...], dict[str, Cell]] = {}
    for cell in _records(frame, layout):
        key = tuple(cell[name] for name in layout.lines)
        line = lines.setdefault(key, {})
        other = line.setdefault(cell[layout.columns], cell)
        if other is not cell:
            raise CondenseryError(_two_in_one(other, cell, layout))
    arranged = [
        Line(tuple(shown(name, value, labels) for name, value in zip(layout.lines, key, strict=True)), line)
        for key, line in lines.items()
    ]
    return order(layout.columns, frame[layout.columns], labels), arranged


def _records(frame: pd.DataFrame, layout: Layout) -> list[dict[str, Any]]:
    """Return the cells; in a relative layout, with the mean in percent of that on the whole set."""
    if not layout.relative:
        return frame.to_dict("records")
    whole_set = (
        frame[(frame["method"] == "whole") & (frame["recipe"] == "whole")].groupby("dataset")["mean"].mean()
    )
    shares = 100 * frame["mean"] / frame["dataset"].map(whole_set)
    return frame.assign(relative=shares.where(frame["method"] != "whole")).to_dict("records")


def _two_in_one(one: Cell, other: Cell, layout: Layout) -> str:
    location = ", ".join(f"{name} {one[name]}" for name in (*layout.lines, layout.columns))
    first, second = (
        ", ".join(f"{name} {cell[name]}" for name in HEADS if one[name] != other[name])
        for cell in (one, other)
    )
    return f"{location}: rows of {first} and of {second} share one cell; give the rows of one"


def shown(name: str, value: Any, labels: Labels) -> str:
    """Return the text of a value for readers.

    Args:
        name: name of its column, one of `HEADS`.
        value: the value in the cells.
        labels: titles of data sets and methods.
    """
    if name == "ipc":
        return size(value)
    titled = {"dataset": labels.dataset, "method": labels.method}
    return (titled[name](value) if name in titled else value) or ABSENT


def points(number: float) -> str:
    """Write a deviation in percentage points, or a dash."""
    return ABSENT if math.isnan(number) else f"{number:.1f}"


def difference(number: float) -> str:
    """Write a signed difference in percentage points, or a dash."""
    return ABSENT if math.isnan(number) else f"{number:+.1f}".replace("-", MINUS)


def measured(cell: Cell) -> str:
    """Write the measured accuracy of a cell with one decimal, ``47.5 ± 0.6``; ``47.5`` for one network."""
    return ABSENT if math.isnan(cell["mean"]) else _with_deviation(f"{cell['mean']:.1f}", cell["std"])


def relative(cell: Cell) -> str:
    """Write the accuracy in percent of that on the whole set; "" if it is not shown or unknown."""
    share = cell.get("relative", math.nan)
    return "" if math.isnan(share) else f"{share:.1f} %"


def published(cell: Cell) -> str:
    """Write the published accuracy of a cell with the decimals that the paper prints, one or two."""
    if math.isnan(cell["published_mean"]):
        return ABSENT
    exact = f"{cell['published_mean']:.2f}"
    return _with_deviation(exact.removesuffix("0"), cell["published_std"])


def _with_deviation(mean: str, std: float) -> str:
    return mean if math.isnan(std) else f"{mean} ± {std:.1f}"


def count(cell: Cell) -> str:
    """Write the number of sets and networks of a cell, or a dash."""
    return cell["n"].replace("x", TIMES) or ABSENT


def usual(frame: pd.DataFrame) -> str:
    """Return the most frequent ``n`` of the measured cells, which is stated once; "" if there are none."""
    counts = Counter(frame.loc[frame["networks"] > 0, "n"])
    return counts.most_common(1)[0][0] if counts else ""


def stated_count(cell: Cell, common: str) -> str:
    """Write the number of sets and networks of a cell; "" if it is the most frequent one, see `usual`."""
    return count(cell) if cell["networks"] and cell["n"] != common else ""


def size(ipc: int) -> str:
    """Write images per class."""
    return str(ipc) if ipc else "all"


def sizes(cell: Cell) -> tuple[str, ...]:
    """Write the storage of the set of a measured cell, the texts under `SIZES`; a dash for unknown values."""
    numbers = [cell[name] for name in ("images_stored", "images", "bytes")]
    return tuple(ABSENT if pd.isna(each) or not cell["networks"] else f"{each:,}" for each in numbers)


def networks(cell: Cell) -> str:
    """Write the network of a cell, or both networks if the evaluation network is another."""
    condense, evaluate = cell["condense_network"], cell["evaluate_network"]
    return evaluate if condense in ("", evaluate) else f"{condense} to {evaluate}"


def time(seconds: float) -> str:
    """Write a time span, or a dash for none."""
    return duration(seconds) if seconds > 0 else ABSENT


def facts(frame: pd.DataFrame) -> list[str]:
    """Return sentences about the measured cells: numbers of networks, time, device and versions."""
    cells = frame[frame["networks"] > 0]
    versions = {name: parts(cells[name]) for name in VERSIONS}
    otherwise = ", where a cell states no other" if cells["n"].nunique() > 1 else ""
    return [
        f"n = sets {TIMES} networks per set, or networks on the whole set: "
        f"{usual(cells).replace('x', TIMES)}{otherwise}.",
        f"{cells['networks'].sum()} networks, trained and tested in {duration(cells['seconds'].sum())} "
        f"on {distinct(parts(cells['device']))}, {distinct(parts(cells['precision']))}.",
        f"Made with {versions_text(versions)}.",
    ]


def versions_text(versions: Mapping[str, Iterable[str]]) -> str:
    """Write the versions that a result depends on: the values of `VERSIONS` by name."""
    texts = {name: distinct(map(_short, values)) for name, values in versions.items()}
    return ", ".join(f"{VERSIONS[name]} {value}" for name, value in texts.items() if value)


def _short(version: str) -> str:
    """Shorten a commit to twelve digits, keeping the suffix of uncommitted changes; versions are shorter."""
    return version[:12] + version[40:]


def distinct(names: Iterable[str]) -> str:
    """Join names, each once."""
    return " + ".join(dict.fromkeys(names))


def parts(column: pd.Series) -> list[str]:
    """Return the distinct parts of a column of texts that are joined with " + ", sorted."""
    return sorted({part for value in column for part in value.split(" + ")})
