"""The agreement of a proxy's ranking of networks with that of the whole set: DM section 3.6, appendix A.3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from condensery.errors import CondenseryError

TOP_PERCENT = 5
"""The share of the networks, best by the proxy, over which DM correlates the ranks: 36 of 720."""


FEWEST = 10
"""The networks below which a rank correlation says nothing and is not printed."""


def scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean validation accuracy of every network over its repeats, in percent.

    Args:
        rows: one row per trained network, with columns ``network``, ``proxy`` and ``validation_accuracy``.

    Returns:
        One line per network, sorted by name, with one column per proxy.

    Raises:
        CondenseryError: not all proxies have the same networks with the same number of repeats.
    """
    counts = rows.groupby(["network", "proxy"]).size().unstack(fill_value=0)
    counts = counts.stack()
    fewest = counts.idxmin()
    if counts[fewest] < counts.max():
        network, proxy = fewest
        raise CondenseryError(
            f"{network} has {counts[fewest]} rows of {proxy} where others have {counts.max()}; "
            "give the rows of all networks"
        )
    return rows.groupby(["network", "proxy"])["validation_accuracy"].mean().unstack()


def test_scores(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return the mean test accuracies in the form of `scores`, or None if a network was not tested."""
    if rows["test_accuracy"].isna().any():
        return None
    return rows.groupby(["network", "proxy"])["test_accuracy"].mean().unstack()


def ranked(scores: pd.Series) -> list[str]:
    """Return the networks, the best first; equal ones by name."""
    return list(scores.sort_index().sort_values(ascending=False, kind="stable").index)


def top(scores: pd.Series) -> list[str]:
    """Return the best `TOP_PERCENT` percent of the networks, rounded up; the first one is the chosen one."""
    return ranked(scores)[: -(-len(scores) * TOP_PERCENT // 100)]


@dataclass(frozen=True)
class Agreement:
    """Rank correlations of two rankings, from -1 to 1; NaN if a ranking has fewer than two different ranks.

    Attributes:
        networks: number of ranked networks.
        spearman: correlation of the ranks; equal scores share their mean rank.
        kendall: tau-b, which accounts for equal scores.
    """

    networks: int
    spearman: float
    kendall: float


def agreement(first: pd.Series, second: pd.Series) -> Agreement:
    """Compare two lists of scores of the same networks.

    Args:
        first: the scores, indexed by network.
        second: the scores to compare with, likewise; networks that are not in ``first`` are left out.
    """
    from scipy import stats  # half a second, and only reports compare rankings

    second = second.loc[first.index]
    if min(first.nunique(), second.nunique()) < 2:
        return Agreement(len(first), math.nan, math.nan)
    spearman, kendall = stats.spearmanr(first, second), stats.kendalltau(first, second)
    return Agreement(len(first), float(spearman.statistic), float(kendall.statistic))
