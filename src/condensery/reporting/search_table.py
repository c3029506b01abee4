"""The table of proxies in an architecture search (DM section 3.6)."""

from __future__ import annotations

import math

import pandas as pd

from condensery.experiment import EARLY_STOPPING
from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import SearchTable
from condensery.experiment.targets import WHOLE
from condensery.progress import duration
from condensery.reporting import latex, layout, markdown, metrics
from condensery.reporting.labels import Labels
from condensery.reporting.layout import Cell, Grid
from condensery.reporting.tables import Table
from condensery.search import ranking

_NOTES = (
    "Every network is trained on each proxy and on the whole set, and ranked by its mean accuracy on "
    "validation images, which are held out of the training images. "
    "Chosen: the best network by the proxy, and its accuracy on the test images after training on the whole "
    "set. "
    "Spearman and Kendall: correlation of the ranks by the proxy and by the whole set, over the best "
    f"{ranking.TOP_PERCENT} % of the networks by the proxy, and over all; of test accuracies, and in "
    f"parentheses of validation accuracies. A dash: networks not tested, or fewer than {ranking.FEWEST}. "
    "Training time: of all networks with all repeats, without condensing. "
    "In brackets the published value (DM Table 5: CIFAR-10, 50 images per class, 720 networks)."
)
_AGREEMENT = {"Spearman": "spearman", "Kendall": "kendall"}


def build(name: str, frame: pd.DataFrame, labels: Labels) -> Table:
    """Build the table.

    Args:
        name: name of the table.
        frame: lines as `search_cells.summary` or `search_cells.read` returns them.
        labels: names for readers.

    Raises:
        CondenseryError: the table is unknown.
    """
    target = find(SearchTable, name)
    table, description = grid(frame, labels), caption(frame, labels)
    text = f"# {target.title}\n\n{description}\n\n{markdown.table(table.heads, table.lines)}\n"
    return Table(
        frame,
        text,
        latex.tabular(name, f"{target.title}. {description}", table.heads, table.lines),
        metrics.of(frame, "test_mean", "test_std") | _agreement(frame),
    )


def _agreement(frame: pd.DataFrame) -> metrics.Metrics:
    """Return the mean rank correlations of the proxies with the whole set, over all networks."""
    proxies = frame[frame["proxy"] != WHOLE]
    names = [f"{name}_all" for name in _AGREEMENT.values()]
    return {name: round(float(proxies[name].mean()), 4) for name in names if proxies[name].notna().any()}


def grid(frame: pd.DataFrame, labels: Labels) -> Grid:
    """Return the table as a grid, one line per proxy; see `build` for the arguments."""
    parts = (f"top {frame['top'].iloc[0]}", "all")
    correlations = [f"{name}, {part}" for part in parts for name in _AGREEMENT]
    heads = (
        "Proxy",
        "Stored images",
        "Steps",
        "Chosen network",
        "Test accuracy",
        *correlations,
        "Training time",
    )
    return Grid(heads, tuple(_line(cell, labels) for cell in frame.to_dict("records")))


def caption(frame: pd.DataFrame, labels: Labels) -> str:
    """Return the caption: protocol, networks, device, versions and notes; for the arguments see `build`."""
    first = frame.iloc[0]
    often = "once" if first["repeats"] == 1 else f"{first['repeats']} times"
    versions = layout.versions_text({name: layout.parts(frame[name]) for name in layout.VERSIONS})
    machine = ", ".join(layout.distinct(layout.parts(frame[name])) for name in ("device", "precision"))
    spent = duration(60 * frame["train_minutes"].sum())
    return (
        f"{labels.sentence()} {labels.dataset(first['dataset'])}: {first['networks']} networks, each trained "
        f"{often} on every proxy and on the whole set. Trained in {spent} on {machine}. "
        f"Made with {versions}. {_NOTES}"
    )


def proxy_title(proxy: str, ipc: int, labels: Labels) -> str:
    """Return the title of a proxy, with its size.

    Args:
        proxy: name of the proxy: a method, early stopping or the whole set.
        ipc: images per class; 0 for the whole set.
        labels: titles of the methods.
    """
    of_size = f", {ipc} images/class" if ipc and proxy != EARLY_STOPPING else ""
    return labels.method(proxy) + of_size


def _line(cell: Cell, labels: Labels) -> tuple[str, ...]:
    test = f"{cell['test_mean']:.1f}" + (f" ± {cell['test_std']:.1f}" if cell["repeats"] > 1 else "")
    counts = {"top": cell["top"], "all": cell["networks"]}
    correlations = [
        _correlations(cell, f"{kind}_{part}", counts[part]) for part in counts for kind in _AGREEMENT.values()
    ]
    correlations[0] += _published(cell["published_spearman"], "{:.2f}")
    return (
        proxy_title(cell["proxy"], cell["ipc"], labels),
        f"{cell['images']}" + _published(cell["published_images"], "{:.0f}"),
        str(cell["steps"]),
        cell["chosen"],
        test + _published(cell["published_test"], "{:.1f}"),
        *correlations,
        f"{cell['train_minutes']:.1f} min" + _published(cell["published_minutes"], "{:.1f} min"),
    )


def _correlations(cell: Cell, name: str, networks: int) -> str:
    """Write the correlation of test accuracies, and in parentheses that of validation accuracies."""
    values = [cell[f"{name}_test"], cell[name]] if networks >= ranking.FEWEST else [math.nan] * 2
    tested, validated = map(_correlation, values)
    return tested if tested == validated == layout.ABSENT else f"{tested} ({validated})"


def _correlation(value: float) -> str:
    return layout.ABSENT if pd.isna(value) else f"{value:.2f}".replace("-", layout.MINUS)


def _published(value: float, form: str) -> str:
    return "" if pd.isna(value) else f" [{form.format(value)}]".replace("-", layout.MINUS)
