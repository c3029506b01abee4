"""The figure of an architecture search: accuracies on a proxy and on the whole set (DM Figure F8)."""

from __future__ import annotations

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from condensery.progress import duration
from condensery.reporting import layout, search_table
from condensery.reporting.drawing import STYLE, Drawing
from condensery.reporting.labels import Labels
from condensery.reporting.search_cells import WHOLE, in_order
from condensery.search import ranking

TITLE = "Figure F8: networks trained on a proxy and on the whole set"
_PANEL_INCHES = 3.4
_PANELS_A_ROW = 4
_RHO, _TAU = "\N{GREEK SMALL LETTER RHO}", "\N{GREEK SMALL LETTER TAU}"
_ALL, _TOP = "0.75", "#0b5cad"


def build(rows: pd.DataFrame, labels: Labels) -> Drawing:
    """Draw one panel per proxy, one point per network.

    Args:
        rows: of scripts/search.py, those of the whole set among them.
        labels: names for readers.

    Raises:
        CondenseryError: some rows of a network are missing.
    """
    scores = ranking.scores(rows)
    sizes = rows.groupby("proxy")["ipc"].max()
    proxies = [proxy for proxy in in_order(scores.columns) if proxy != WHOLE]
    columns = min(len(proxies), _PANELS_A_ROW)
    lines = -(-len(proxies) // columns)
    with mpl.rc_context(STYLE):
        size = (columns * _PANEL_INCHES, lines * _PANEL_INCHES)
        figure = Figure(figsize=size, dpi=200, facecolor="white", layout="constrained")
        for number, proxy in enumerate(proxies, start=1):
            axes = figure.add_subplot(lines, columns, number)
            _panel(axes, scores[proxy], scores[WHOLE])
            axes.set_title(search_table.title(proxy, sizes[proxy], labels), fontsize=9, fontweight="bold")
        figure.supxlabel("Validation accuracy, trained on the proxy (%)", fontsize=8)
        figure.supylabel("Validation accuracy, trained on the whole set (%)", fontsize=8)
    count = len(ranking.top(scores[WHOLE]))
    versions = {name: sorted(set(rows[name])) for name in layout.VERSIONS}
    machine = ", ".join(layout.distinct(sorted(rows[name])) for name in ("device", "precision"))
    seconds = math.fsum(rows["train_seconds"]) + math.fsum(rows["test_seconds"])
    caption = (
        f"{labels.sentence()} Each of {len(scores)} networks is a point, its mean over "
        f"{len(rows) // scores.size} repeats. In color the {count} best by the proxy "
        f"({ranking.TOP_PERCENT} %), with their rank correlation: Spearman's {_RHO} and Kendall's {_TAU}. "
        "Validation images are held out of the training images; DM Figure F8 has test accuracies instead. "
        f"{len(rows)} trainings in {duration(seconds)} on {machine}. "
        f"Made with {layout.versions_text(versions)}."
    )
    return Drawing(figure, TITLE, caption)


def _panel(axes: Axes, proxy: pd.Series, whole: pd.Series) -> None:
    top = ranking.top(proxy)
    rest = proxy.index.difference(top)
    axes.scatter(proxy.loc[rest], whole.loc[rest], s=6, color=_ALL, linewidths=0)
    axes.scatter(proxy.loc[top], whole.loc[top], s=14, color=_TOP, linewidths=0)
    found = ranking.agreement(proxy.loc[top], whole)
    correlations = (f"{name} = {value:.2f}".replace("-", layout.MINUS) for name, value in _named(found))
    axes.annotate(
        "\n".join(correlations),
        (0.03, 0.97),
        xycoords="axes fraction",
        verticalalignment="top",
        fontsize=8,
        color=_TOP,
    )
    axes.tick_params(labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _named(found: ranking.Agreement) -> list[tuple[str, float]]:
    """Return the correlations that are defined, with their symbols."""
    named = [(_RHO, found.spearman), (_TAU, found.kendall)]
    return [(name, value) for name, value in named if not math.isnan(value)]
