"""The tables by name. A table is a function of result rows; another table is another function here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from condensery.checkpoint import atomic
from condensery.errors import CondenseryError
from condensery.reporting import latex, markdown, published
from condensery.reporting.cells import COLUMNS, NUMBERS, cells
from condensery.reporting.labels import Labels
from condensery.reporting.layout import method_order

_COUNTS = ("ipc", "sets", "networks", "images", "epochs")
_TEXTS = [name for name in COLUMNS if name not in (*NUMBERS, *_COUNTS)]


@dataclass(frozen=True)
class Spec:
    """What a table is.

    Attributes:
        title: number in the paper and subject.
        notes: how to read it, one sentence each.
        cells: makes its cells, in its order, from result rows and the folder of the published numbers.
    """

    title: str
    notes: tuple[str, ...]
    cells: Callable[[pd.DataFrame, Path], pd.DataFrame]


@dataclass(frozen=True)
class Table:
    """A finished table.

    Attributes:
        cells: one line a cell, in the table's order; cells that are only published have networks 0.
        markdown: the paper's layout, then every cell.
        latex: the paper's layout, for the package booktabs.
    """

    cells: pd.DataFrame
    markdown: str
    latex: str

    def write(self, prefix: Path) -> None:
        """Write prefix.csv, prefix.md and prefix.tex, each atomically."""
        csv = self.cells.to_csv(index=False, float_format="%.4f", lineterminator="\n")
        for suffix, text in ((".csv", csv), (".md", self.markdown), (".tex", self.latex)):
            with atomic(prefix.with_name(prefix.name + suffix)) as temporary:
                temporary.write_text(text, encoding="utf-8")


def read_cells(path: Path) -> pd.DataFrame:
    """Read back the CSV file of a table.

    Raises:
        CondenseryError: the file is absent or is not such a table.
    """
    try:
        # An empty network name is a name; only in the columns of numbers does nothing mean NaN.
        frame = pd.read_csv(
            path, keep_default_na=False, na_values={name: [""] for name in NUMBERS}, dtype={"n": str}
        )
    except FileNotFoundError as error:
        raise CondenseryError(f"{path}: no such table; make it with scripts/table.py") from error
    except ValueError as error:
        raise CondenseryError(f"{path}: cannot be read as a table: {error}") from error
    if tuple(frame.columns) != COLUMNS:
        raise CondenseryError(
            f"{path}: not the columns of a table of cells; make it again with scripts/table.py"
        )
    return frame.astype(dict.fromkeys(_TEXTS, str)).astype(dict.fromkeys(NUMBERS, float))


def build(name: str, rows: pd.DataFrame, folder: Path, labels: Labels) -> Table:
    """Build a table.

    Args:
        name: which table.
        rows: result rows as `rows.read_rows` returns them.
        folder: where the published numbers are.
        labels: names for readers.

    Raises:
        CondenseryError: no such table, or rows that do not fit it.
    """
    spec = find(name)
    frame = spec.cells(rows, folder)
    return Table(
        frame,
        markdown.document(spec.title, frame, labels, spec.notes),
        latex.document(name, spec.title, frame, labels, spec.notes),
    )


def find(name: str) -> Spec:
    """Return what a table is.

    Raises:
        CondenseryError: no such table.
    """
    if name not in SPECS:
        raise CondenseryError(f"table {name!r} is unknown; choose from {', '.join(SPECS)}")
    return SPECS[name]


def _table1(rows: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """DM Table 1 and DSA Table 1: data sets x images per class x methods."""
    known = published.table1(folder)
    return _in_order(_with_gaps(cells(rows, known), known), list(dict.fromkeys(known["dataset"])))


def _with_gaps(measured: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Add the published cells that were not measured, for the data sets and sizes that were."""
    sizes = set(zip(measured["dataset"], measured["ipc"], strict=True)) | {
        (d, 0) for d in measured["dataset"]
    }
    done = set(zip(measured["dataset"], measured["ipc"], measured["method"], measured["recipe"], strict=True))
    done |= {(dataset, ipc, method, "") for dataset, ipc, method, _ in done}
    gaps = [
        line | {"protocol": measured["protocol"].iloc[0]}
        for line in known.to_dict("records")
        if (line["dataset"], line["ipc"]) in sizes
        and (line["dataset"], line["ipc"], line["method"], line["recipe"]) not in done
    ]
    frame = pd.concat([measured, pd.DataFrame(gaps, columns=list(COLUMNS))], ignore_index=True)
    frame = frame.fillna({"seconds": 0.0} | dict.fromkeys(_COUNTS, 0))
    frame[_TEXTS] = frame[_TEXTS].fillna("")
    return frame.astype(dict.fromkeys(NUMBERS, float)).astype(dict.fromkeys(_COUNTS, int))


def _in_order(frame: pd.DataFrame, datasets: list[str]) -> pd.DataFrame:
    """Sort cells: data sets as published, others after them by name; small sets first, the whole set last."""
    datasets = [*datasets, *sorted(set(frame["dataset"]) - set(datasets))]
    methods = method_order(frame["method"])
    place = frame.assign(
        dataset=frame["dataset"].map(datasets.index),
        method=frame["method"].map(methods.index),
        ipc=frame["ipc"].replace(0, frame["ipc"].max() + 1),
    )
    order = place.sort_values(
        ["dataset", "ipc", "recipe", "method", "condense_network", "evaluate_network"]
    ).index
    return frame.loc[order].reset_index(drop=True)


SPECS = {
    "table1": Spec(
        "Table 1: accuracy of networks trained on synthetic sets and coresets",
        (
            "Accuracy on the test split in percent: mean and population standard deviation over the pooled "
            "networks of all sets.",
            "In brackets the published value (DM Table 1, DSA Table 1), beside the recipe and network of the "
            "papers.",
            "Recipe dsa trains with DSA augmentation, recipe dc as DC was evaluated; so were the published "
            "coresets.",
            "A dash: not measured under this protocol.",
        ),
        _table1,
    ),
}
"""Every table by name."""
