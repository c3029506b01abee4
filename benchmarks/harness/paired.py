"""Differences between precisions at equal seeds, and the page that shows them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd

from condensery.files import atomic
from harness.study import BASE
from harness.table import grid

_CELL = ["dataset", "method", "ipc"]
_PAIR = [*_CELL, "set_seed", "network_seed"]


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare every combination of precisions with fp32, network by network.

    Args:
        rows: rows of the study, one per trained network.

    Returns:
        One row for each cell and way, with columns ``dataset``, ``method``, ``ipc``, ``condensed``,
        ``evaluated``, ``accuracy`` (mean, percent), ``difference`` (mean over the networks that both have,
        percent points), ``error`` (its standard error: of the means of the sets, or of the networks where
        there is one set), ``sets`` and ``networks``.
    """
    base = rows[(rows["condense_precision"] == BASE) & (rows["precision"] == BASE)]
    pairs = rows.merge(base[[*_PAIR, "accuracy"]], on=_PAIR, how="left", suffixes=("", "_base"))
    pairs["difference"] = pairs["accuracy"] - pairs["accuracy_base"]
    found = []
    for key, group in pairs.groupby([*_CELL, "condense_precision", "precision"], sort=False):
        both = group.dropna(subset="difference")
        means = both.groupby("set_seed")["difference"].mean()
        independent = means if len(means) > 1 else both["difference"]
        count = len(independent)
        found.append(
            {
                **dict(zip([*_CELL, "condensed", "evaluated"], key, strict=True)),
                "accuracy": group["accuracy"].mean(),
                "difference": both["difference"].mean(),
                "error": independent.std() / math.sqrt(count) if count > 1 else math.nan,
                "sets": group["set_seed"].nunique(),
                "networks": len(group),
            }
        )
    return pd.DataFrame(found).sort_values([*_CELL, "condensed", "evaluated"], ignore_index=True)


def block(rows: pd.DataFrame, study: str) -> str:
    """Return a study's section of the page: a heading, the settings of the study and the table."""
    table = differences(rows)
    head = ["data set", "method", "ipc", "condensed in", "evaluated in", "accuracy", "difference", "n"]
    body = [
        [
            r.dataset,
            r.method,
            str(r.ipc),
            r.condensed,
            r.evaluated,
            f"{r.accuracy:.2f}",
            "" if (r.condensed, r.evaluated) == (BASE, BASE) else _signed(r.difference, r.error),
            f"{r.sets} x {r.networks // r.sets}",
        ]
        for r in table.itertuples()
    ]
    first = rows.iloc[0]
    commits = ", ".join(sorted({commit[:12] for commit in rows["commit"]}))
    origin = (
        f"{first['device']}; condensery at {commits}, PyTorch {first['torch']}; {first['epochs']} epochs."
    )
    return f"### {study}: {first['device']}\n\n{origin}\n\n{grid(head, body)}"


def put(page: Path, name: str, text: str) -> None:
    """Write a section between its markers in a page, or at the end of a page without them."""
    begin, end = f"<!-- precision: {name} -->", "<!-- end -->"
    marked = f"{begin}\n\n{text}\n{end}\n"
    content = page.read_text(encoding="utf-8")
    pattern = re.compile(rf"{re.escape(begin)}\n.*?{end}\n", re.DOTALL)
    replaced, count = pattern.subn(lambda _: marked, content)
    with atomic(page) as temporary:
        temporary.write_text(replaced if count else f"{content.rstrip()}\n\n{marked}", encoding="utf-8")


def _signed(difference: float, error: float) -> str:
    if math.isnan(difference):
        return "not paired"
    return f"{difference:+.2f}" + ("" if math.isnan(error) else f" ± {error:.2f}")
