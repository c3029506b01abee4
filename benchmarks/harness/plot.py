"""The figure of a benchmark: the loops relative to the ceiling, and their growth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from condensery.files import atomic
from harness.case import LOOPS
from harness.table import STUDIES, Row

_AXES = {
    "classes": "classes",
    "ipc": "images per class",
    "size": "pixels per side",
    "images": "training images",
}


def write(rows: Sequence[Row], path: Path) -> None:
    """Draw the figure as PNG."""
    studies = [study for study in STUDIES if any(r["study"] == study for r in rows)]
    figure = plt.figure(figsize=(12, 10), layout="constrained")
    grid = figure.add_gridspec(3, max(1, len(studies)), height_ratios=(1.3, 1, 1))
    _ceiling(figure.add_subplot(grid[0, :]), [r for r in rows if r["study"] == "loops"])
    for column, study in enumerate(studies):
        grown = [r for r in rows if r["study"] == study]
        time = figure.add_subplot(grid[1, column])
        _growth(time, grown, study, [r["seconds"] for r in grown])
        _decade(time)
        memory = figure.add_subplot(grid[2, column])
        _growth(memory, grown, study, [r["peak_bytes"] / 1e6 for r in grown])
        memory.set_ylim(bottom=0)
        if column == 0:
            time.set_ylabel("time of a step (s)")
            memory.set_ylabel("peak memory (MB)")
    figure.suptitle(rows[0]["device"])
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)


def _decade(axes: Axes) -> None:
    """Make the vertical axis logarithmic, over a factor of ten or more: small differences look small."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    stretch = max(1.0, (10 * low / high) ** 0.5)
    axes.set_ylim(low / stretch, high * stretch)


def _ceiling(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw a bar per precision and compilation, grouped by loop."""
    ways = list(dict.fromkeys((r["precision"], r["compiled"]) for r in rows))
    width = 0.8 / max(1, len(ways))
    for number, (precision, compiled) in enumerate(ways):
        same = [r for r in rows if (r["precision"], r["compiled"]) == (precision, compiled)]
        chosen = {r["loop"]: 100 * r["of_ceiling"] for r in same}
        positions = [i + width * (number - (len(ways) - 1) / 2) for i in range(len(LOOPS))]
        label = f"{precision}, {'compiled' if compiled else 'not compiled'}"
        axes.bar(positions, [chosen.get(loop, 0) for loop in LOOPS], width, label=label)
    axes.set_xticks(range(len(LOOPS)), list(LOOPS))
    axes.set_ylabel("of the ceiling (%)")
    axes.set_ylim(0, 100)
    axes.set_title("Least possible time over time taken")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _growth(axes: Axes, rows: Sequence[Row], study: str, values: Sequence[float]) -> None:
    """Draw a line for each loop, over what the study varies."""
    for loop in dict.fromkeys(r["loop"] for r in rows):
        points = sorted((r[study], value) for r, value in zip(rows, values, strict=True) if r["loop"] == loop)
        axes.plot(*zip(*points, strict=True), marker="o", label=loop)
    axes.set_xscale("log")
    axes.set_xticks(sorted({r[study] for r in rows}), minor=False)
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.set_xlabel(_AXES[study])
    axes.legend(fontsize="x-small")
