"""The top of the report: the differences between measured and published numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from condensery.reporting import layout, search_table
from condensery.reporting.labels import Labels
from condensery.reporting.layout import Cell


@dataclass(frozen=True)
class Comparison:
    """A measured and a published test accuracy, both in percent.

    Attributes:
        cell: description of the cell, for readers.
        measured: the measured mean over the networks.
        published: the published mean.
    """

    cell: str
    measured: float
    published: float

    @property
    def difference(self) -> float:
        """The measured minus the published accuracy, in percentage points."""
        return self.measured - self.published


@dataclass(frozen=True)
class Summary:
    """The line of one table in the overview.

    Attributes:
        target: the anchor of the table in the page.
        title: the title of the table.
        measured: the number of measured cells.
        comparisons: the measured cells with a published number.
    """

    target: str
    title: str
    measured: int
    comparisons: tuple[Comparison, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the line: counts, mean absolute difference in points, and the cell farthest away."""
        counts = (str(self.measured), str(len(self.comparisons)))
        if not self.comparisons:
            return (*counts, layout.ABSENT, layout.ABSENT)
        distance = sum(abs(each.difference) for each in self.comparisons) / len(self.comparisons)
        farthest = max(self.comparisons, key=lambda each: abs(each.difference))
        return (*counts, f"{distance:.1f}", f"{layout.difference(farthest.difference)}, {farthest.cell}")


HEADS = (
    "Table",
    "Measured cells",
    "with a published number",
    "Mean distance, points",
    "Farthest from the published number, points",
)
"""The heads of the lines of summaries."""


def of_accuracies(frame: pd.DataFrame, labels: Labels) -> tuple[Comparison, ...]:
    """Compare the cells of a table of accuracies, as `tables.read_cells` returns them."""
    return tuple(
        Comparison(_name(cell, labels, cell["recipe"], layout.networks(cell)), cell["mean"], known)
        for cell, known in _published(frame[frame["networks"] > 0], "published_mean")
    )


def of_continual(frame: pd.DataFrame, labels: Labels) -> tuple[Comparison, ...]:
    """Compare the accuracies after the last step, in cells as `continual_cells.read_cells` returns them."""
    return tuple(
        Comparison(_name(cell, labels, f"{cell['steps']} steps"), cell["mean"], known)
        for cell, known in _published(frame, "published_mean")
    )


def of_search(frame: pd.DataFrame, labels: Labels) -> tuple[Comparison, ...]:
    """Compare the networks that a search chose, as `search_cells.read` returns them."""
    return tuple(
        Comparison(
            labels.dataset(cell["dataset"])
            + f", {search_table.proxy_title(cell['proxy'], cell['ipc'], labels)}",
            cell["test_mean"],
            known,
        )
        for cell, known in _published(frame, "published_test")
    )


def _published(frame: pd.DataFrame, column: str) -> Iterator[tuple[Cell, float]]:
    for cell in frame[frame[column].notna()].to_dict("records"):
        yield cell, cell[column]


def _name(cell: Cell, labels: Labels, *more: str) -> str:
    size = "all images" if cell["ipc"] == 0 else f"{cell['ipc']}/class"
    return ", ".join(
        filter(None, (labels.dataset(cell["dataset"]), labels.method(cell["method"]), size, *more))
    )


def points(summaries: Sequence[Summary]) -> list[Comparison]:
    """Return the comparisons of all tables without repetition, because tables share cells."""
    return list(dict.fromkeys(each for summary in summaries for each in summary.comparisons))
