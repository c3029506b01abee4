"""Rows of snapshots, and the points of a trajectory: accuracy against the time of condensing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from condensery.experiment import Config
from condensery.experiment.comparable import cell_differences
from condensery.reporting import agreement, published
from condensery.reporting.cells import deviations, joined, run_counts, with_published
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
"""The methods of DM section 3.2: the time of the second to reach the final accuracy of the first."""


def points(measured: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Aggregate rows over sets and networks.

    Args:
        measured: rows of the kind `rows.SNAPSHOT`, as `rows.read_rows` returns them.
        labels: names for readers, and the order of the methods.

    Returns:
        One line per point with `COLUMNS`: data sets by name, small sets first, methods in their order, steps
        ascending. ``condense_seconds`` is the mean over sets; for deviations see `cells.cells`; ``seconds``
        is the sum of training and test of the networks.
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


def goals(frame: pd.DataFrame, config: Config, paper: Config, folder: Path) -> pd.DataFrame:
    """Return the number of iterations of each curve's method, and the known accuracies after all of them.

    Args:
        frame: points as `points` returns them.
        config: the configuration of the points' protocol.
        paper: the configuration of the papers' protocol.
        folder: the folder of the published numbers.

    Returns:
        One line per curve, in the order of the points: `CURVE`, ``last``, the step of its last point, and
        ``iterations``; ``published_mean``, ``published_std`` and ``source``; ``reported`` by users of the
        authors' code, and ``reporters``. The accuracies are NaN or "" if none is published, or if the curve
        differs from the papers' protocol.
    """
    curves = frame.groupby(list(CURVE), sort=False)["step"].max().rename("last").reset_index()
    lines = curves.to_dict("records")
    curves["iterations"] = [
        config.parameters(c["dataset"], c["method"], c["condense_network"], c["ipc"])["iterations"]
        for c in lines
    ]
    reported = published.reported(folder).rename(columns={"accuracy": "reported", "source": "reporters"})
    found = with_published(curves, published.accuracies(folder))
    found = found.merge(reported.astype({"ipc": int}), on=["dataset", "ipc", "method"], how="left")
    comparable = [not cell_differences(config, paper, c) for c in lines]
    same = (found["source"] != "") & pd.Series(comparable, index=found.index)
    for name in ("published_mean", "published_std"):
        found[name] = found[name].where(same)
    for name in ("source", "reported", "reporters"):
        found[name] = found[name].where(same, "").fillna("")
    return found


ERRORS = 2.0
"""Number of standard errors, over the sets, by which a snapshot must exceed a goal to have reached it."""


@dataclass(frozen=True)
class Comparison:
    """The time in which `COMPARED` reaches the final accuracy of `REFERENCE`, on one data set and ipc.

    Attributes:
        goal: the last point of `REFERENCE`.
        reached: the point of `COMPARED` from which on every mean exceeds that of the goal by `ERRORS`
            standard errors of the difference; None if there is none, or if one of the two methods has a
            single set.
        last: the last point of `COMPARED`.
    """

    goal: pd.Series
    reached: pd.Series | None
    last: pd.Series

    @property
    def measurable(self) -> bool:
        """Whether both methods have at least two sets, which a standard error needs."""
        return min(self.goal["sets"], self.last["sets"]) > 1

    @property
    def factor(self) -> float:
        """The time of `REFERENCE` divided by that of `COMPARED`, NaN if the goal is not reached.

        This is a lower bound, because nothing is interpolated between snapshots: `COMPARED` may have reached
        the goal soon after the snapshot before.
        """
        if self.reached is None:
            return math.nan
        return self.goal["condense_seconds"] / self.reached["condense_seconds"]


def comparisons(frame: pd.DataFrame) -> list[Comparison]:
    """Compare the two methods for every data set and ipc that both have.

    Args:
        frame: points as `points` returns them.
    """
    same = [name for name in CURVE if name != "method"]
    found = []
    for _, group in frame.groupby(same, sort=False):
        reference, compared = (group[group["method"] == name] for name in (REFERENCE, COMPARED))
        if reference.empty or compared.empty:
            continue
        goal = reference.iloc[-1]
        error = (_error(compared) ** 2 + _error(reference).iloc[-1] ** 2) ** 0.5
        above = compared["mean"] - goal["mean"] >= ERRORS * error  # false if an error is unknown
        stays = above[::-1].cummin()[::-1]
        found.append(Comparison(goal, compared[stays].iloc[0] if stays.any() else None, compared.iloc[-1]))
    return found


def _error(points_of: pd.DataFrame) -> pd.Series:
    """Return the standard errors of means over sets, NaN for one set."""
    return points_of["std_between_sets"] / (points_of["sets"] - 1).where(points_of["sets"] > 1) ** 0.5
