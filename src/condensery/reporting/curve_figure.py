"""Figures of accuracy against images per class, one curve per method."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from condensery.errors import CondenseryError
from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import Curves
from condensery.experiment.targets import WHOLE
from condensery.reporting import layout, published
from condensery.reporting.cells import cells
from condensery.reporting.drawing import STYLE, Drawing, heading
from condensery.reporting.labels import Labels
from condensery.reporting.styles import style


def build(name: str, rows: pd.DataFrame, folder: Path, labels: Labels) -> Drawing:
    """Draw a figure from rows.

    Args:
        name: name of the figure.
        rows: rows as `rows.read_rows` returns them.
        folder: the folder of the published numbers.
        labels: names for readers.

    Raises:
        CondenseryError: the figure is unknown, or rows of the whole set are missing.
    """
    target = find(Curves, name)
    frame = cells(rows, published.accuracies(folder))
    frame["whole"] = frame["dataset"].map(
        frame[(frame["method"] == WHOLE) & (frame["recipe"] == WHOLE)].set_index("dataset")["mean"].to_dict()
    )
    if target.relative and frame["whole"].isna().any():
        raise CondenseryError(f"{name}: no rows of the whole set in recipe {WHOLE}; evaluate it too")
    relatives = (False, True) if target.relative else (False,)
    panels = [(dataset, relative) for dataset in dict.fromkeys(frame["dataset"]) for relative in relatives]
    with mpl.rc_context(STYLE):
        size = (3.6 * len(panels), 3.4)
        figure = Figure(figsize=size, dpi=200, facecolor="white", layout="constrained")
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (dataset, relative) in zip(all_axes, panels, strict=True):
            _panel(axes, frame[frame["dataset"] == dataset], relative, labels)
        entries: dict[str, Artist] = {}
        for axes in all_axes:
            handles, texts = axes.get_legend_handles_labels()
            entries |= dict(zip(texts, handles, strict=True))
        if frame["published_mean"].notna().any():
            hollow = Line2D([], [], ls="", color="0.4", marker="o", ms=8, markerfacecolor="none")
            entries["published"] = hollow
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=4,
            fontsize=8,
            frameon=False,
        )
    return Drawing(figure, target.title, caption(frame, labels))


def caption(frame: pd.DataFrame, labels: Labels) -> str:
    """Return the caption: the protocol, the numbers of sets and networks, device, time and versions."""
    known = frame["published_mean"].notna().any()
    bands = "Bars: one standard deviation." + (" Hollow markers: published." if known else "")
    return " ".join([labels.sentence(), *layout.facts(frame), bands])


def _panel(axes: Axes, frame: pd.DataFrame, relative: bool, labels: Labels) -> None:
    scale = 100 / frame["whole"].iloc[0] if relative else 1.0
    methods = labels.order(frame["method"])
    sizes = sorted(set(frame["ipc"]) - {0})
    for (method, recipe), curve in sorted(
        frame.groupby(["method", "recipe"]), key=lambda item: methods.index(item[0][0])
    ):
        color, marker = style(method, methods)
        recipes = sorted(set(frame.loc[frame["method"] == method, "recipe"]))
        label = labels.method(method) + (f", {recipe}" if len(recipes) > 1 else "")
        line = ("-", "--", ":", "-.")[recipes.index(recipe) % 4]
        mean, spread = curve["mean"] * scale, curve["std"].fillna(0) * scale
        if method == WHOLE:
            axes.axhline(mean.iloc[0], color=color, lw=1, ls=line, label=label)
            continue
        at = [sizes.index(ipc) for ipc in curve["ipc"]]
        axes.errorbar(
            at, mean, spread, color=color, marker=marker, ms=5, lw=1.2, ls=line, capsize=2, label=label
        )
        if curve["published_mean"].notna().any():
            known = curve["published_mean"] * scale
            axes.plot(at, known, ls="", color=color, marker=marker, ms=8, markerfacecolor="none")
    title = heading(labels.dataset(frame["dataset"].iloc[0]), labels.protocol, _counts(frame))
    axes.set_title(title, fontsize=9, loc="left", fontweight="bold")
    axes.set_xticks(range(len(sizes)), [f"{ipc:,}" for ipc in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("images per class")
    axes.set_ylabel("% of the accuracy on the whole set" if relative else "test accuracy (%)")
    axes.margins(x=0.12)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _counts(frame: pd.DataFrame) -> str:
    on_sets = frame[frame["method"] != WHOLE]
    return layout.distinct(layout.count(cell) for cell in on_sets.to_dict("records"))
