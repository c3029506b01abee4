"""The figure of continual learning: accuracy after every step, one curve per memory."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import Memories
from condensery.reporting import layout
from condensery.reporting.continual_table import caption, in_turn, is_sequence, line_name, step_name
from condensery.reporting.drawing import STYLE, Drawing, heading
from condensery.reporting.labels import Labels
from condensery.reporting.styles import Style, style

_DASHES = ("-", "--", ":")
"""Line styles of the ways to learn, in the order of the cells."""


def draw(name: str, frame: pd.DataFrame, labels: Labels) -> Drawing:
    """Draw the cells of a table of continual learning.

    Bands are one standard deviation to either side; crosses are the published accuracies after the last step.

    Args:
        name: name of the target.
        frame: cells as `continual_cells.cells` returns them.
        labels: names for readers.

    Raises:
        CondenseryError: the target is unknown.
    """
    target = find(Memories, name)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), dpi=200, facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        methods = list(dict.fromkeys(frame["method"]))
        ways = list(dict.fromkeys(zip(frame["recipe"], frame["distillation"], strict=True)))
        for (method, *way), line in frame.groupby(["method", "recipe", "distillation"], sort=False):
            _curve(axes, line, style(method, methods), _DASHES[ways.index(tuple(way))], labels)
        steps = frame.drop_duplicates("step").sort_values("step")
        sequence = is_sequence(frame)
        names = [
            step_name(step, labels) if sequence else str(step["classes_seen"])
            for step in steps.to_dict("records")
        ]
        axes.set_xticks(steps["step"], names)
        axes.set_xlabel("after learning" if sequence else "classes seen")
        axes.set_ylabel("test accuracy (%)")
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        first = frame.iloc[0]
        size = f"{first['ipc']} {'image' if first['ipc'] == 1 else 'images'}/class"
        what = f"{in_turn(frame, labels)}, memory of {size}"
        n = layout.distinct(layout.count(cell) for cell in frame.to_dict("records"))
        axes.set_title(heading(what, labels.protocol, n), fontsize=9, loc="left", fontweight="bold")
        known = frame["published_mean"].notna().any()
        entries = axes.get_legend_handles_labels()[0]
        if known:
            cross = Line2D([], [], ls="", color="0.4", marker="x", ms=8, mew=1.8, label="published")
            entries.append(cross)
        axes.legend(handles=entries, frameon=False, fontsize=8)
    notes = "Bands: one standard deviation." + (" Crosses: published." if known else "")
    return Drawing(figure, f"{target.title}: curves", f"{caption(frame, labels)} {notes}")


def _curve(axes: Axes, line: pd.DataFrame, method: Style, dashes: str, labels: Labels) -> None:
    last, color = line.iloc[-1], method.color
    axes.plot(
        line["step"],
        line["mean"],
        dashes,
        color=color,
        marker=method.marker,
        ms=4,
        label=line_name(last, labels),
    )
    spread = line["std"].fillna(0)
    axes.fill_between(
        line["step"], line["mean"] - spread, line["mean"] + spread, color=color, alpha=0.15, lw=0
    )
    if pd.notna(last["published_mean"]):
        axes.plot(last["step"], last["published_mean"], "x", color=color, ms=8, mew=1.8)
