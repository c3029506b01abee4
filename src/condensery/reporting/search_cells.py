"""The results of an architecture search, one line per proxy, with the published numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment import EARLY_STOPPING
from condensery.reporting import agreement, published
from condensery.search import ranking

WHOLE = "whole"
_PUBLISHED = {
    "selected_network_accuracy": "published_test",
    "rank_correlation_top5pct": "published_spearman",
    "time_minutes": "published_minutes",
    "stored_images": "published_images",
}
_PROVENANCE = ("device", "precision", "torch", "condensery", "commit")
_TEXTS = ("protocol", "dataset", "proxy", "chosen", *_PROVENANCE)
_TESTED = ("spearman_top_test", "kendall_top_test", "spearman_all_test", "kendall_all_test")
COLUMNS = (
    "protocol",
    "dataset",
    "proxy",
    "ipc",
    "images",
    "steps",
    "networks",
    "repeats",
    "chosen",
    "validation_mean",
    "test_mean",
    "test_std",
    "top",
    "spearman_top",
    "kendall_top",
    "spearman_all",
    "kendall_all",
    *_TESTED,
    "train_minutes",
    *_PUBLISHED.values(),
    *_PROVENANCE,
)
"""The columns of the CSV file."""


def summary(rows: pd.DataFrame, tests: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return the results of one search.

    Args:
        rows: rows of scripts/search.py.
        tests: rows of scripts/search_test.py.
        folder: the folder of the published numbers.

    Returns:
        One line per proxy, in the order of the paper, the whole set last, with `COLUMNS`. Accuracies are in
        percent; ``test_std`` is the population deviation over the repeats. Correlations whose name ends with
        ``_test`` are those of test accuracies, NaN if networks were not tested; the others are those of
        validation accuracies. Only CIFAR-10 has published values.

    Raises:
        CondenseryError: rows belong to several data sets; rows of the whole set, of some networks, or tests
            of a chosen network are missing; or the published numbers cannot be read.
    """
    _check(rows)
    scores, test_scores = ranking.scores(rows), ranking.test_scores(rows)
    tested = tests.groupby("network")["test_accuracy"]
    known = published.search(folder)[["proxy", *_PUBLISHED]].rename(columns=_PUBLISHED)
    lines = [_line(scores, test_scores, proxy, group, tested) for proxy, group in rows.groupby("proxy")]
    frame = pd.DataFrame(lines).merge(known, on="proxy", how="left")
    frame = frame.set_index("proxy").loc[in_order(frame["proxy"])].reset_index()
    if frame["dataset"].iloc[0] != "cifar10":
        frame[list(_PUBLISHED.values())] = float("nan")
    return frame[list(COLUMNS)].reset_index(drop=True)


def in_order(proxies: Iterable[str]) -> list[str]:
    """Sort proxies as in DM Table 5, DC before DSA; others follow by name, the whole set comes last."""
    paper = ("random", "dc", "dsa", "dm", EARLY_STOPPING)
    ranks = {proxy: rank for rank, proxy in enumerate(paper)} | {WHOLE: len(paper) + 1}
    return sorted(set(proxies), key=lambda proxy: (ranks.get(proxy, len(paper)), proxy))


def _check(rows: pd.DataFrame) -> None:
    datasets = sorted(set(rows["dataset"]))
    if len(datasets) > 1:
        raise CondenseryError(f"rows of {' and '.join(datasets)} in one search; give those of one data set")
    if WHOLE not in set(rows["proxy"]):
        raise CondenseryError("no rows of the whole set; run scripts/search.py --whole")


def _line(
    scores: pd.DataFrame,
    test_scores: pd.DataFrame | None,
    proxy: str,
    rows: pd.DataFrame,
    tested: pd.api.typing.SeriesGroupBy,
) -> dict[str, object]:
    top = ranking.top(scores[proxy])
    chosen = top[0]
    if chosen not in tested.groups:
        raise CondenseryError(f"no test of {chosen}, which {proxy} chose; run scripts/search_test.py")
    test = tested.get_group(chosen)
    agreement.check(f"proxy {proxy}", rows)
    line: dict[str, object] = {name: _one(rows, name) for name in ("protocol", "dataset", "ipc")}
    line |= {name: _one(rows, name) for name in ("images", "steps")}
    line |= {name: " + ".join(sorted(set(rows[name]))) for name in _PROVENANCE}
    return line | {
        "proxy": proxy,
        "networks": len(scores),
        "repeats": len(rows) // len(scores),
        "chosen": chosen,
        "validation_mean": scores[proxy].loc[chosen],
        "test_mean": test.mean(),
        "test_std": test.std(ddof=0),
        "top": len(top),
        **_correlations(scores, proxy, top, ""),
        **_correlations(test_scores, proxy, top, "_test"),
        "train_minutes": rows["train_seconds"].sum() / 60,
    }


def _correlations(scores: pd.DataFrame | None, proxy: str, top: list[str], end: str) -> dict[str, float]:
    """Return the rank correlations of the best networks and of all; ``end`` is appended to column names."""
    found: dict[str, float] = {}
    for part in ("top", "all"):
        if scores is None:
            of_part = ranking.Agreement(0, math.nan, math.nan)
        else:
            names = top if part == "top" else scores.index
            of_part = ranking.agreement(scores[proxy].loc[names], scores[WHOLE])
        found |= {f"spearman_{part}{end}": of_part.spearman, f"kendall_{part}{end}": of_part.kendall}
    return found


def _one(rows: pd.DataFrame, name: str) -> object:
    values = rows[name].unique()
    if len(values) > 1:
        text = " and ".join(str(value) for value in sorted(values))
        raise CondenseryError(f"{rows['proxy'].iloc[0]}: rows with {name} {text}; give those of one search")
    return values[0]


def read(path: Path) -> pd.DataFrame:
    """Read back the CSV file of the table.

    Raises:
        CondenseryError: the file is absent or is not such a table.
    """
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str))
    except (FileNotFoundError, ValueError) as error:
        raise CondenseryError(
            f"{path}: no such table ({error}); make it with scripts/search_report.py"
        ) from error
    if tuple(frame.columns) != COLUMNS:
        raise CondenseryError(f"{path}: not the columns of Table 5; make it with scripts/search_report.py")
    return frame
