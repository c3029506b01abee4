"""Tables of accuracies, built from result rows with the layout of their entry in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import Accuracies, Layout
from condensery.files import atomic
from condensery.reporting import latex, markdown, metrics, published
from condensery.reporting.cells import COLUMNS, KEYS, NO_SIZES, NUMBERS, STORAGE, cells
from condensery.reporting.labels import Labels
from condensery.reporting.layout import order
from condensery.reporting.metrics import Metrics

_COUNTS = ("ipc", "sets", "networks", "images", "epochs")
_TEXTS = [name for name in COLUMNS if name not in (*NUMBERS, *STORAGE, *_COUNTS)]
_TYPES = dict.fromkeys(_TEXTS, str) | dict.fromkeys(NUMBERS, float) | dict.fromkeys(STORAGE, "Int64")


@dataclass(frozen=True)
class Table:
    """A finished table.

    Attributes:
        cells: one line per cell, in the table's order; cells without a measurement have 0 networks.
        markdown: the paper's layout, then every cell.
        latex: the paper's layout, for the package booktabs.
        metrics: a few numbers that summarize the measured cells.
    """

    cells: pd.DataFrame
    markdown: str
    latex: str
    metrics: Metrics

    def write(self, prefix: Path) -> None:
        """Write prefix.csv, prefix.md, prefix.tex and prefix.json, each atomically."""
        texts = {
            "csv": self.cells.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
            "md": self.markdown,
            "tex": self.latex,
            "json": metrics.text(self.metrics),
        }
        for kind, text in texts.items():
            with atomic(prefix.with_name(f"{prefix.name}.{kind}")) as temporary:
                temporary.write_text(text, encoding="utf-8")


def read_cells(path: Path) -> pd.DataFrame:
    """Read back the CSV file of a table.

    Raises:
        CondenseryError: the file is absent or is not such a table.
    """
    try:
        # An empty network name is a value; only in the columns of numbers does an empty field mean NaN.
        frame = pd.read_csv(
            path,
            keep_default_na=False,
            na_values={name: [""] for name in (*NUMBERS, *STORAGE)},
            dtype={"n": str},
        )
    except FileNotFoundError as error:
        raise CondenseryError(f"{path}: no such table; make it with scripts/table.py") from error
    except ValueError as error:
        raise CondenseryError(f"{path}: cannot be read as a table: {error}") from error
    if tuple(frame.columns) != COLUMNS:
        raise CondenseryError(
            f"{path}: not the columns of a table of cells; make it again with scripts/table.py"
        )
    try:
        return frame.astype(_TYPES)
    except ValueError as error:
        raise CondenseryError(f"{path}: holds text for a number ({error}); make it again") from error


def build(
    name: str,
    rows: pd.DataFrame,
    folder: Path,
    labels: Labels,
    choice: latex.Choice = latex.WHOLE_TABLE,
    sizes: Mapping[str, int] = NO_SIZES,
) -> Table:
    """Build a table.

    Args:
        name: name of the table.
        rows: result rows as `rows.read_rows` returns them.
        folder: the folder of the published numbers.
        labels: names for readers.
        choice: the choice of columns in LaTeX.
        sizes: see `cells.cells`.

    Raises:
        CondenseryError: the table is unknown, the rows do not fit it, or a chosen column is not among them.
    """
    target = find(Accuracies, name)
    known = published.table(target.published, folder)
    frame = cells(rows, known, sizes)
    if target.gaps:
        frame = _with_gaps(frame, known, target.layout)
    frame = _in_order(frame, target.layout, list(dict.fromkeys(known["dataset"])), labels)
    measured = frame[frame["networks"] > 0]
    return Table(
        frame,
        markdown.document(target, frame, labels),
        latex.document(name, target, frame, labels, choice),
        metrics.of(measured),
    )


def _with_gaps(measured: pd.DataFrame, known: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Add the published cells that were not measured, for the data sets, sizes and recipes that were."""
    names = [*layout.lines, layout.columns]
    sizes = set(zip(measured["dataset"], measured["ipc"], strict=True)) | {
        (d, 0) for d in measured["dataset"]
    }
    # If the papers do not state a recipe, every recipe matches.
    cells_of = measured[names].to_dict("records")
    done = {tuple(cell.values()) for cell in cells_of}
    if "recipe" in names:
        done |= {tuple((cell | {"recipe": ""}).values()) for cell in cells_of}
    recipes = {"", *measured["recipe"]}
    gaps = [
        line | {"protocol": measured["protocol"].iloc[0]}
        for line in known.to_dict("records")
        if (line["dataset"], line["ipc"]) in sizes
        and line["recipe"] in recipes
        and tuple(line[name] for name in names) not in done
    ]
    frame = pd.concat([measured, pd.DataFrame(gaps, columns=list(COLUMNS))], ignore_index=True)
    frame = frame.fillna({"seconds": 0.0} | dict.fromkeys(_COUNTS, 0))
    frame[_TEXTS] = frame[_TEXTS].fillna("")
    return frame.astype(_TYPES | dict.fromkeys(_COUNTS, int))


def _in_order(frame: pd.DataFrame, layout: Layout, datasets: list[str], labels: Labels) -> pd.DataFrame:
    """Sort cells by line and column: data sets as published, others after them by name."""
    names = list(dict.fromkeys([*layout.lines, layout.columns, *KEYS[1:]]))
    orders = {name: order(name, frame[name], labels) for name in names}
    orders["dataset"] = list(dict.fromkeys([*datasets, *orders["dataset"]]))
    ranks = pd.DataFrame({name: frame[name].map(orders[name].index) for name in names})
    return frame.loc[ranks.sort_values(names).index].reset_index(drop=True)
