"""The figure of a map of synthetic and real images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import Embedding
from condensery.files import atomic
from condensery.progress import duration
from condensery.reporting import layout
from condensery.reporting.drawing import STYLE, Drawing, heading
from condensery.reporting.labels import Labels
from condensery.reporting.styles import class_colors
from condensery.reporting.tsne import REAL

_SET = ["method", "ipc", "set_seed"]
_PANELS_A_ROW = 3
_PANEL = 3.2  # inches
_DOT: dict[str, Any] = {"marker": "o", "s": 5, "lw": 0, "alpha": 0.35}
_STAR: dict[str, Any] = {"marker": "*", "s": 60, "lw": 0.6, "ec": "0.1"}


def draw(name: str, frame: pd.DataFrame, about: Mapping[str, Any], labels: Labels) -> Drawing:
    """Draw a map: one panel per set in the order of the methods, the same real images in each.

    Args:
        name: name of the figure.
        frame: the map as `tsne.embed` returns it.
        about: further values for the caption: ``network``, ``seconds`` and the columns that `Job.columns`
            returns.
        labels: names for readers.

    Raises:
        CondenseryError: the figure is unknown.
    """
    target = find(Embedding, name)
    real = frame[frame["method"] == REAL]
    sets = dict(list(frame[frame["method"] != REAL].groupby(_SET)))
    methods = labels.order(method for method, _, _ in sets)
    panels = sorted(sets, key=lambda key: (methods.index(key[0]), *key[1:]))
    colors = class_colors(real["class_name"].unique())
    n_real = layout.distinct(f"{n:,}" for n in real.groupby("class").size())
    across, down = min(len(panels), _PANELS_A_ROW), -(-len(panels) // _PANELS_A_ROW)
    with mpl.rc_context(STYLE):
        size = (_PANEL * across, 0.9 + (_PANEL + 0.2) * down)
        figure = Figure(figsize=size, dpi=200, facecolor="white", layout="constrained")
        figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for axes in figure.axes[len(panels) :]:
            axes.set_axis_off()
        for axes, key in zip(figure.axes, panels, strict=False):
            _panel(axes, real, sets[key], colors)
            axes.set_title(_panel_name(key, labels), fontsize=10, loc="left", fontweight="bold")
        n = f"{n_real} real images/class"
        figure.suptitle(
            heading(labels.dataset(real["dataset"].iloc[0]), labels.protocol, n),
            fontsize=10,
            x=0.005,
            ha="left",
        )
        figure.legend(
            handles=_legend(colors),
            loc="outside lower center",
            ncols=5 if across > 1 else 2,
            frameon=False,
            fontsize=10,
        )
    return Drawing(figure, target.title, caption(frame, about, labels))


def write_coordinates(frame: pd.DataFrame, prefix: Path) -> None:
    """Write the coordinates of every image as prefix.csv, atomically."""
    with atomic(prefix.with_name(prefix.name + ".csv")) as temporary:
        temporary.write_text(frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"))


def caption(frame: pd.DataFrame, about: Mapping[str, Any], labels: Labels) -> str:
    """Return the caption: the mapped images, their numbers, device, time and versions.

    Args:
        frame: see `draw`.
        about: see `draw`.
        labels: see `draw`.
    """
    real = frame["method"] == REAL
    names = ", ".join(frame["class_name"].unique())
    counts = layout.distinct(str(n) for n in frame[real].groupby("class").size())
    versions = {name: [about[name]] for name in layout.VERSIONS}
    return " ".join(
        [
            labels.sentence(),
            f"t-SNE of the features of a {about['network']} trained on the whole set, for images of "
            f"{labels.dataset(about['dataset'])}, {names}; one map for all panels.",
            f"n: {counts} real training images of each class (dots), {(~real).sum()} synthetic images of "
            f"{len(frame[~real].groupby(_SET))} sets (stars). Distances between groups have little meaning.",
            f"Mapped in {duration(about['seconds'])} on {about['device']}, {about['precision']}.",
            f"Made with {layout.versions_text(versions)}.",
        ]
    )


def _panel(axes: Axes, real: pd.DataFrame, synthetic: pd.DataFrame, colors: Mapping[str, str]) -> None:
    axes.set(xticks=[], yticks=[])  # the coordinates have no unit
    axes.spines[:].set_color("0.85")
    for images, mark in ((real, _DOT), (synthetic, _STAR)):
        axes.scatter(images["x"], images["y"], c=images["class_name"].map(colors).tolist(), **mark)


def _panel_name(key: tuple[str, int, int], labels: Labels) -> str:
    method, ipc, _ = key
    return f"{labels.method(method)}, {ipc} {'image' if ipc == 1 else 'images'}/class"


def _legend(colors: Mapping[str, str]) -> list[Line2D]:
    marks = [
        Line2D([], [], marker="o", ms=4, ls="", color="0.4", label="real image"),
        Line2D([], [], marker="*", ms=9, ls="", color="0.4", label="synthetic image"),
    ]
    return [
        *(Line2D([], [], marker="s", ls="", color=c, label=name) for name, c in colors.items()),
        *marks,
    ]
