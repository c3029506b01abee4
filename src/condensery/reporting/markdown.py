"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from condensery.experiment.target_kinds import Accuracies
from condensery.reporting import layout
from condensery.reporting.cells import gains
from condensery.reporting.labels import Labels
from condensery.reporting.layout import Cell

_GAIN = "Above random"
_ABOUT_GAIN = (
    f"{_GAIN}: the difference to random images with as many stored and as many training images, in the same "
    "recipe and on the same network."
)
_LONG = (
    "Data set",
    "Images/class",
    "Method",
    "Recipe",
    "Network",
    "Accuracy",
    "n",
    "Std between sets",
    "Std between networks",
    "Published",
    "Difference",
    *layout.SIZES,
    "Evaluation time",
)


def document(target: Accuracies, frame: pd.DataFrame, labels: Labels) -> str:
    """Write a table: its caption, the paper's layout, then one line per cell.

    Args:
        target: the entry of the catalog, with title, notes and layout.
        frame: cells as `condensery.reporting.tables.read_cells` returns them.
        labels: titles of methods and data sets, and the protocol.

    Raises:
        CondenseryError: the cells do not fit the paper's layout.
    """
    columns, lines = layout.matrix(frame, target.layout, labels)
    common = layout.usual(frame)
    compact = [
        [*line.titles, *(_compact(line.cells.get(name), common) for name in columns)] for line in lines
    ]
    heads = [layout.HEADS[name] for name in target.layout.lines]
    heads += [layout.shown(target.layout.columns, column, labels) for column in columns]
    parts = [
        f"# {target.title}",
        " ".join([labels.sentence(), *layout.facts(frame)]),
        " ".join(target.notes),
        table(heads, compact),
        "## Every cell",
        *([_ABOUT_GAIN] if target.baselines else []),
        _every_cell(target, frame, labels),
    ]
    return "\n\n".join(parts) + "\n"


def _every_cell(target: Accuracies, frame: pd.DataFrame, labels: Labels) -> str:
    heads, lines = list(_LONG), [_long(cell, labels) for cell in frame.to_dict("records")]
    if target.baselines:
        place = heads.index("Accuracy") + 1
        heads.insert(place, _GAIN)
        for line, gain in zip(lines, gains(frame, target.baselines), strict=True):
            line.insert(place, layout.difference(gain))
    return table(heads, lines)


def _compact(cell: Cell | None, common: str) -> str:
    if cell is None:
        return ""
    share = f", {layout.relative(cell)}" if layout.relative(cell) else ""
    stated = layout.stated_count(cell, common)
    number = f" (n={stated})" if stated else ""
    published = layout.published(cell)
    return layout.measured(cell) + share + number + (f" [{published}]" if published != layout.ABSENT else "")


def _long(cell: Cell, labels: Labels) -> list[str]:
    return [
        labels.dataset(cell["dataset"]),
        layout.size(cell["ipc"]),
        labels.method(cell["method"]),
        cell["recipe"] or layout.ABSENT,
        layout.networks(cell),
        layout.measured(cell),
        layout.count(cell),
        layout.points(cell["std_between_sets"]),
        layout.points(cell["std_between_networks"]),
        layout.published(cell),
        layout.difference(cell["difference"]),
        *layout.sizes(cell),
        layout.time(cell["seconds"]),
    ]


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a pipe table with aligned source."""
    escaped = [[entry.replace("|", "\\|") for entry in line] for line in (heads, *lines)]
    widths = [max(3, *(len(line[column]) for line in escaped)) for column in range(len(heads))]
    padded = [[entry.ljust(width) for entry, width in zip(line, widths, strict=True)] for line in escaped]
    rule = ["-" * width for width in widths]
    return "\n".join("| " + " | ".join(line) + " |" for line in (padded[0], rule, *padded[1:]))
