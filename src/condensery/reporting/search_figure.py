"""The figure of an architecture search: accuracies on a proxy and on the whole set (DM Figure F8)."""

from __future__ import annotations

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import SearchFigure
from condensery.progress import duration
from condensery.reporting import layout, search_table
from condensery.reporting.drawing import STYLE, Drawing, heading
from condensery.reporting.labels import Labels
from condensery.reporting.search_cells import WHOLE, in_order
from condensery.reporting.styles import Style, style
from condensery.search import ranking

_PANEL_INCHES = 3.4
_PANELS_A_ROW = 4
_RHO, _TAU = "\N{GREEK SMALL LETTER RHO}", "\N{GREEK SMALL LETTER TAU}"
_OTHERS = "0.75"


def build(name: str, rows: pd.DataFrame, labels: Labels) -> Drawing:
    """Draw one panel per proxy with one point per network, at its test (or else validation) accuracies.

    Args:
        name: name of the figure.
        rows: rows of scripts/search.py, including those of the whole set.
        labels: names for readers.

    Raises:
        CondenseryError: the figure is unknown, or some rows of a network are missing.
    """
    target = find(SearchFigure, name)
    scores, tested = ranking.scores(rows), ranking.test_scores(rows)
    shown, what = (scores, "validation") if tested is None else (tested, "test")
    sizes = rows.groupby("proxy")["ipc"].max()
    proxies = [proxy for proxy in in_order(scores.columns) if proxy != WHOLE]
    columns = min(len(proxies), _PANELS_A_ROW)
    repeats = len(rows) // scores.size
    often = "once" if repeats == 1 else f"{repeats} times"
    lines = -(-len(proxies) // columns)
    with mpl.rc_context(STYLE):
        size = (columns * _PANEL_INCHES, 0.4 + lines * _PANEL_INCHES)
        figure = Figure(figsize=size, dpi=200, facecolor="white", layout="constrained")
        for number, proxy in enumerate(proxies, start=1):
            axes = figure.add_subplot(lines, columns, number)
            _panel(axes, shown[proxy], shown[WHOLE], ranking.top(scores[proxy]), style(proxy, proxies))
            axes.set_title(
                search_table.proxy_title(proxy, sizes[proxy], labels), fontsize=10, fontweight="bold"
            )
        n = f"{len(scores)} networks, trained {often} each"
        title = heading(labels.dataset(rows["dataset"].iloc[0]), labels.protocol, n)
        figure.suptitle(title, fontsize=10, x=0.005, ha="left")
        figure.supxlabel(f"{what} accuracy, trained on the proxy (%)", fontsize=10)
        figure.supylabel(f"{what} accuracy,\ntrained on the whole set (%)", fontsize=10)
    count = len(ranking.top(scores[WHOLE]))
    versions = {name: sorted(set(rows[name])) for name in layout.VERSIONS}
    machine = ", ".join(layout.distinct(sorted(rows[name])) for name in ("device", "precision"))
    seconds = math.fsum(rows["train_seconds"]) + math.fsum(rows["test_seconds"])
    caption = (
        f"{labels.sentence()} Each of {len(scores)} networks is a point, its mean over "
        f"{repeats} repeats. In color the {count} best by the proxy ({ranking.TOP_PERCENT} %), on validation "
        "images, which are held out of the training images. "
        f"Rank correlations, of {ranking.FEWEST} networks or more: Spearman's {_RHO} and Kendall's {_TAU}. "
        + ("" if tested is not None else "DM Figure F8 has test accuracies instead. ")
        + f"{len(rows)} trainings in {duration(seconds)} on {machine}. "
        f"Made with {layout.versions_text(versions)}."
    )
    return Drawing(figure, target.title, caption)


def _panel(axes: Axes, proxy: pd.Series, whole: pd.Series, top: list[str], chosen: Style) -> None:
    rest = proxy.index.difference(top)
    axes.scatter(proxy.loc[rest], whole.loc[rest], s=8, color=_OTHERS, linewidths=0, label="others")
    best = f"best {len(top)} by the proxy"
    color, marker = chosen
    axes.scatter(proxy.loc[top], whole.loc[top], s=30, color=color, marker=marker, linewidths=0, label=best)
    shown = {f"all {len(proxy)}": proxy, f"best {len(top)}": proxy.loc[top]}
    texts = [_correlations(name, ranking.agreement(part, whole)) for name, part in shown.items()]
    text = "\n".join(filter(None, texts))
    axes.annotate(text, (0.03, 0.98), xycoords="axes fraction", verticalalignment="top", fontsize=9)
    axes.legend(loc="lower right", frameon=False, fontsize=8, handletextpad=0.1, borderpad=0)
    axes.tick_params(labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _correlations(name: str, found: ranking.Agreement) -> str:
    """Write the correlations that are defined and based on enough networks; "" if there are none."""
    named = [(_RHO, found.spearman), (_TAU, found.kendall)]
    texts = [f"{symbol} = {value:.2f}" for symbol, value in named if not math.isnan(value)]
    if not texts or found.networks < ranking.FEWEST:
        return ""
    return f"{name}: {', '.join(texts)}".replace("-", layout.MINUS)
