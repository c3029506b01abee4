"""What every form of a table shares: the order of things, how a number is written, what a caption says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensery.errors import CondenseryError
from condensery.progress import duration
from condensery.reporting.labels import PAPER_TITLES

Cell = Mapping[str, Any]
"""One line of the frame that `cells.cells` returns."""

ABSENT = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"

VERSIONS = {"condensery": "condensery", "commit": "commit", "torch": "PyTorch"}
"""What is printed of the versions, and how it is called."""


@dataclass(frozen=True)
class Line:
    """One line of the paper's layout: the cells of one data set, size and recipe, by method."""

    dataset: str
    ipc: int
    recipe: str
    cells: Mapping[str, Cell]


def method_order(names: Iterable[str]) -> list[str]:
    """Sort methods as the papers' columns; others follow by name, the whole set comes last."""
    paper = list(PAPER_TITLES)
    last = len(paper) - 1
    return sorted(set(names), key=lambda name: (paper.index(name) if name in paper else last - 0.5, name))


def matrix(frame: pd.DataFrame) -> tuple[list[str], list[Line]]:
    """Arrange cells as DM Table 1: methods are columns.

    Args:
        frame: cells; the lines keep the order in which data set, ipc and recipe first appear.

    Returns:
        The methods, in order, and the lines.

    Raises:
        CondenseryError: two cells have the same place, because their networks differ.
    """
    lines: dict[tuple[str, int, str], dict[str, Cell]] = {}
    for cell in frame.to_dict("records"):
        line = lines.setdefault((cell["dataset"], cell["ipc"], cell["recipe"]), {})
        other = line.setdefault(cell["method"], cell)
        if other is not cell:
            raise CondenseryError(
                f"{cell['dataset']}, ipc {cell['ipc']}, {cell['method']}, recipe {cell['recipe']}: rows of "
                f"networks {networks(other)} and {networks(cell)} share one cell; give the rows of one"
            )
    return method_order(frame["method"]), [Line(*key, cells=line) for key, line in lines.items()]


def points(number: float) -> str:
    """Write a deviation in percentage points, or a dash."""
    return ABSENT if math.isnan(number) else f"{number:.1f}"


def difference(number: float) -> str:
    """Write a signed difference in percentage points, or a dash."""
    return ABSENT if math.isnan(number) else f"{number:+.1f}".replace("-", MINUS)


def measured(cell: Cell) -> str:
    """Write the measured accuracy of a cell with one decimal, ``47.5 ± 0.6``; ``47.5`` for one network."""
    return ABSENT if math.isnan(cell["mean"]) else _with_deviation(f"{cell['mean']:.1f}", cell["std"])


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


def size(ipc: int) -> str:
    """Write images per class."""
    return str(ipc) if ipc else "all"


def networks(cell: Cell) -> str:
    """Write the network of a cell, or both when the evaluation network is another."""
    condense, evaluate = cell["condense_network"], cell["evaluate_network"]
    return evaluate if condense in ("", evaluate) else f"{condense} to {evaluate}"


def time(seconds: float) -> str:
    """Write a time span, or a dash for none."""
    return duration(seconds) if seconds > 0 else ABSENT


def facts(frame: pd.DataFrame) -> list[str]:
    """Say what stands behind the measured cells of a table: how many networks, where, with what, how long."""
    cells = frame[frame["networks"] > 0]
    counts = sorted(set(cells["n"]), key=lambda n: [int(part) for part in n.replace("+", "x").split("x")])
    versions = {name: _parts(cells[name]) for name in VERSIONS}
    listed = ", ".join(counts).replace("x", TIMES)
    return [
        f"n = sets {TIMES} networks a set, or networks on the whole set: {listed}.",
        f"{cells['networks'].sum()} networks, trained and tested in {duration(cells['seconds'].sum())} "
        f"on {distinct(_parts(cells['device']))}, {distinct(_parts(cells['precision']))}.",
        f"Made with {said_versions(versions)}.",
    ]


def said_versions(versions: Mapping[str, Iterable[str]]) -> str:
    """Write the versions that a result depends on: the values of `VERSIONS` by name."""
    said = {name: distinct(map(_short, values)) for name, values in versions.items()}
    return ", ".join(f"{VERSIONS[name]} {value}" for name, value in said.items() if value)


def _short(version: str) -> str:
    """Shorten a commit to twelve digits; versions are shorter anyway."""
    return version[:12] + ("-dirty" if version.endswith("-dirty") else "")


def distinct(names: Iterable[str]) -> str:
    """Join names, each once."""
    return " + ".join(dict.fromkeys(names))


def _parts(column: pd.Series) -> list[str]:
    return sorted({part for value in column for part in value.split(" + ")})
