"""The figure of every published number with the measured one, colored by verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from condensery import architectures
from condensery.experiment.catalog import TARGETS
from condensery.experiment.target_kinds import Panel
from condensery.reporting import layout, published
from condensery.reporting.drawing import STYLE, Drawing
from condensery.reporting.labels import Labels
from condensery.reporting.reproduction_cells import (
    NOT_COMPARABLE,
    NOT_MEASURED,
    OUTSIDE,
    VERDICTS,
    WITHIN,
    counts,
    sentence,
)
from condensery.reporting.reproduction_table import TITLE

# Color-blind readers can tell blue from orange; the signs differ without any color.
_FACES = {WITHIN: "#9ecae1", OUTSIDE: "#fdae6b", NOT_COMPARABLE: "#e6e6e6", NOT_MEASURED: "#ffffff"}
_SIGNS = {WITHIN: "=", OUTSIDE: "≠", NOT_COMPARABLE: "", NOT_MEASURED: ""}

_CELL = 0.46, 0.31
"""Width and height of a tile in inches."""
_LINES, _HEAD, _GAP = 1.6, 0.78, 0.12
"""Margins of a panel in inches: left for the names of its lines, top for its title and columns, bottom."""


def draw(frame: pd.DataFrame, labels: Labels) -> Drawing:
    """Draw a tile for every published number: the published above the measured, colored by verdict.

    Args:
        frame: verdicts as `reproduction_cells.verdicts` returns them.
        labels: names for readers.
    """
    shown = {name: target.panel or Panel(target.title) for name, target in TARGETS.items()}
    of_tables = frame["table"].map(shown)
    panels = {
        panel: _content(panel, frame[of_tables == panel], labels)
        for panel in dict.fromkeys(shown.values())
        if (of_tables == panel).any()
    }
    columns = [[*panels][:1], [*panels][1:]]  # the first is by far the largest
    with mpl.rc_context(STYLE):
        widths = [
            max((_LINES + 0.3 + _CELL[0] * len(panels[p][1]) for p in column), default=0)
            for column in columns
        ]
        heights = [sum(_HEAD + _GAP + _CELL[1] * len(panels[p][0]) for p in column) for column in columns]
        figure = Figure(figsize=(sum(widths), max(heights) + 0.6), dpi=200, facecolor="white")
        left = 0.0
        for column, width in zip(columns, widths, strict=True):
            top = figure.get_figheight() - 0.5
            for panel in column:
                rows, heads, tiles = panels[panel]
                height = _CELL[1] * len(rows)
                box = (left + _LINES, top - _HEAD - height, _CELL[0] * len(heads), height)
                _draw_panel(_axes(figure, box), panel.title, rows, heads, tiles)
                top -= height + _HEAD + _GAP
            left += width
        _legend(figure, counts(frame))
    return Drawing(figure, TITLE, sentence(frame))


Tiles = dict[tuple[int, int], dict[str, Any]]


def _content(panel: Panel, part: pd.DataFrame, labels: Labels) -> tuple[list[str], list[str], Tiles]:
    """Return the heads of lines and columns of a panel, and its numbers by (line, column)."""
    line, column = HEADS[panel.lines], HEADS[panel.columns]
    numbers = part.to_dict("records")
    if column is _method:
        order = labels.order(part["method"])
        heads = [labels.method(method) for method in order]
        at = {id(n): order.index(n["method"]) for n in numbers}
    else:
        heads = list(dict.fromkeys(column(n, labels) for n in numbers))
        at = {id(n): heads.index(column(n, labels)) for n in numbers}
    datasets = list(dict.fromkeys(part["dataset"]))

    def rank(number: dict[str, Any]) -> tuple[Any, ...]:
        size = number["ipc"] or math.inf
        return datasets.index(number["dataset"]), size, number["quantity"], number["steps"]

    lines = list(dict.fromkeys(line(n, labels) for n in sorted(numbers, key=rank)))
    return lines, heads, {(lines.index(line(n, labels)), at[id(n)]): n for n in numbers}


def _size(number: dict[str, Any], labels: Labels) -> str:
    return f"{labels.dataset(number['dataset'])}, {layout.size(number['ipc'])}"


def _method(number: dict[str, Any], labels: Labels) -> str:
    return labels.method(number["method"])


def _norm(number: dict[str, Any], labels: Labels) -> str:
    norm = "batch norm" if architectures.has_batch_norm(number["network"]) else "instance norm"
    return f"{labels.dataset(number['dataset'])}, {norm}"


def _condensed(number: dict[str, Any], labels: Labels) -> str:
    return f"{labels.method(number['method'])}, {number['condense_network'].removesuffix('-bn')}"


def _network(number: dict[str, Any], labels: Labels) -> str:
    return number["network"].removesuffix("-bn")


def _group(number: dict[str, Any], labels: Labels) -> str:
    return number["method"].removeprefix("dm-pool-").replace("dm-pool", "all").replace("dm", "new")


def _quantity(number: dict[str, Any], labels: Labels) -> str:
    return number["quantity"]


def _steps(number: dict[str, Any], labels: Labels) -> str:
    return f"{labels.dataset(number['dataset'])}, {number['steps']} steps"


HEADS: dict[str, Callable[[dict[str, Any], Labels], str]] = {
    "size": _size,
    "method": _method,
    "norm": _norm,
    "condensed_on": _condensed,
    "network": _network,
    "group": _group,
    "quantity": _quantity,
    "steps": _steps,
}
"""Meaning of the lines or columns of a panel -> the function that returns the head of a number."""


def _axes(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    width, height = figure.get_size_inches()
    return figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))


def _draw_panel(axes: Axes, title: str, lines: list[str], heads: list[str], tiles: Tiles) -> None:
    axes.set(xlim=(0, len(heads)), ylim=(len(lines), 0))
    axes.set_xticks([x + 0.5 for x in range(len(heads))], heads, fontsize=8.5, rotation=25, ha="left")
    axes.set_yticks([y + 0.5 for y in range(len(lines))], lines, fontsize=8.5)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(title, fontsize=10, loc="left", pad=6)
    for (y, x), number in tiles.items():
        verdict = number["verdict"]
        face = _FACES[verdict]
        axes.add_patch(Rectangle((x + 0.03, y + 0.05), 0.94, 0.9, facecolor=face, edgecolor="0.8", lw=0.5))
        digits = 2 if number["quantity"] == published.CORRELATION else 1
        above, below = (
            "" if math.isnan(number[name]) else f"{number[name]:.{digits}f}".replace("-", layout.MINUS)
            for name in ("published", "measured")
        )
        weight = "bold" if _SIGNS[verdict] else "normal"
        color = "0.55" if verdict == NOT_MEASURED else "0"
        alone = not below
        axes.text(
            x + 0.5, y + (0.5 if alone else 0.3), above, fontsize=8, color=color, ha="center", va="center"
        )
        if below:
            text = f"{_SIGNS[verdict]} {below}".strip()
            axes.text(x + 0.5, y + 0.7, text, fontsize=8, weight=weight, ha="center", va="center")


def _legend(figure: Figure, count: dict[str, int]) -> None:
    patches = [
        Patch(facecolor=_FACES[v], edgecolor="0.6", label=f"{_SIGNS[v]} {v} ({count[v]})".strip())
        for v in VERDICTS
    ]
    figure.legend(
        handles=patches,
        loc="upper left",
        ncols=4,
        fontsize=10,
        frameon=False,
        title_fontsize=10,
        title="each tile: the published number above, the measured below",
        alignment="left",
    )
