"""Rows of snapshots, and the points of a trajectory: accuracy against the time of condensing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condensery.reporting import agreement
from condensery.reporting.cells import deviations, joined, run_counts
from condensery.reporting.labels import Labels

CURVE = ("protocol", "dataset", "ipc", "method", "recipe", "condense_network", "evaluate_network")
"""The columns that identify a curve."""

_PROVENANCE = ("condense_device", "device", "precision", "torch", "condensery", "commit")

COLUMNS = (
    *CURVE,
    *("step", "condense_seconds"),
    *("mean", "std", "std_between_sets", "std_between_networks", "sets", "networks", "n"),
    *_PROVENANCE,
    "seconds",
)
"""All columns of points, in the order of the CSV file."""

REFERENCE, COMPARED = "dsa", "dm"
"""DM section 3.2: how long the second takes to reach the final accuracy of the first."""


def points(measured: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Aggregate rows over sets and networks.

    Args:
        measured: as `rows.read_rows` returns them, of the kind `rows.SNAPSHOT`.
        labels: names for readers.

    Returns:
        One line per point with `COLUMNS`: data sets by name, small sets first, methods in their
        order, steps ascending. condense_seconds is the mean over sets; the deviations are as in
        `cells.cells`; seconds sums training and test of the networks.
    """
    lines = []
    for key, group in measured.groupby([*CURVE, "step"]):
        where = ", ".join(f"{name} {value}" for name, value in zip((*CURVE, "step"), key, strict=True))
        agreement.check(where, group)
        by_set = [part.to_numpy() for _, part in group.groupby("set_seed")["accuracy"]]
        counts = [len(part) for part in by_set]
        line: dict[str, Any] = dict(zip((*CURVE, "step"), key, strict=True)) | deviations(by_set)
        line["condense_seconds"] = group.groupby("set_seed")["condense_seconds"].first().mean()
        line |= {"sets": len(counts), "networks": sum(counts), "n": run_counts(counts)}
        line |= {name: joined(group[name]) for name in _PROVENANCE}
        line["seconds"] = math.fsum(group["train_seconds"]) + math.fsum(group["test_seconds"])
        lines.append(line)
    frame = pd.DataFrame(lines)
    ranks = frame.assign(method=frame["method"].map(labels.order(frame["method"]).index))
    return frame.loc[ranks.sort_values([*CURVE, "step"]).index, list(COLUMNS)].reset_index(drop=True)


ERRORS = 2.0
"""How many standard errors, over the sets, a snapshot has to be above a goal to count as being there."""


@dataclass(frozen=True)
class Comparison:
    """How long `COMPARED` takes to reach the final accuracy of `REFERENCE`, on one data set and ipc.

    Attributes:
        goal: the last point of the reference.
        reached: the first point of the other from which on every mean is above that of the goal by `ERRORS`
            standard errors of the difference; None if never reached, or if one of the two has a single set.
        last: the last point of the other.
    """

    goal: pd.Series
    reached: pd.Series | None
    last: pd.Series

    @property
    def measurable(self) -> bool:
        """Whether both have the two sets that an error needs."""
        return min(self.goal["sets"], self.last["sets"]) > 1

    @property
    def factor(self) -> float:
        """The ratio of the reference's time to that of the other, NaN if the other does not reach it.

        Nothing is interpolated between snapshots: the other may have been there since the snapshot before,
        so that this is a lower bound.
        """
        if self.reached is None:
            return math.nan
        return self.goal["condense_seconds"] / self.reached["condense_seconds"]


def comparisons(frame: pd.DataFrame) -> list[Comparison]:
    """Compare the two methods in every data set and ipc with both.

    Args:
        frame: as `points` returns it.
    """
    same = [name for name in CURVE if name != "method"]
    found = []
    for _, group in frame.groupby(same, sort=False):
        reference, compared = (group[group["method"] == name] for name in (REFERENCE, COMPARED))
        if reference.empty or compared.empty:
            continue
        goal = reference.iloc[-1]
        error = (_error(compared) ** 2 + _error(reference).iloc[-1] ** 2) ** 0.5
        above = compared["mean"] - goal["mean"] >= ERRORS * error  # false where an error is not known
        stays = above[::-1].cummin()[::-1]
        found.append(Comparison(goal, compared[stays].iloc[0] if stays.any() else None, compared.iloc[-1]))
    return found


def _error(points_of: pd.DataFrame) -> pd.Series:
    """Return the standard errors of means over sets, NaN where there is one set."""
    return points_of["std_between_sets"] / (points_of["sets"] - 1).where(points_of["sets"] > 1) ** 0.5
