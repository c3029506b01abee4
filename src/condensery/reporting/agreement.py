"""Check that rows can be pooled: one version of the data, one kind of set, equivalent code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from condensery.errors import CondenseryError

ALIKE = Path(__file__).with_name("alike.yaml")
"""The list of versions of the code that compute the same results."""

_ONE = {
    "precision": "precision",
    "data": "version of the data",
    "set_settings": "kind of set",
}
"""Columns with one value per cell, and their names in messages; the value "" means unknown."""


def check(cell: str, rows: pd.DataFrame, one_set: Sequence[str] = ("set_seed",)) -> None:
    """Check that rows can be pooled.

    Args:
        cell: the cell, for messages.
        rows: its rows. Columns of `rows.IDENTITY` may be absent, which means unknown.
        one_set: the columns that identify a set within the cell.

    Raises:
        CondenseryError: the rows differ in precision, data, settings of their sets or code, or contain two
            versions of one set.
    """
    for name, called in _ONE.items():
        _refuse_several(cell, rows, name, called)
    for names in (("code", "commit"), ("set_code",)):
        _check_code(cell, rows, [name for name in names if name in rows])
    if "set" in rows:
        versions = {*zip(*(rows[name] for name in (*one_set, "set")), strict=True)}
        sets = [tuple(of_set) for *of_set, version in versions if version != ""]
        # Groups of a table of rows cost a job more than all else that it does with them.
        if len(sets) > len({*sets}):
            for _, same in rows.groupby(list(one_set)):
                _refuse_several(cell, same, "set", "version of one set")


def _refuse_several(cell: str, rows: pd.DataFrame, name: str, called: str) -> None:
    if name not in rows or len({*rows[name].dropna().unique()} - {""}) < 2:
        return
    known = rows[rows[name] != ""]
    values = [f"{value} ({_example(known[known[name] == value])})" for value in sorted(known[name].unique())]
    hint = "; name each method that was imported (import_set.py --name)" if name == "set_settings" else ""
    raise CondenseryError(
        f"{cell}: rows of more than one {called} in one cell: {', '.join(values)}; "
        f"give those of one, or evaluate the others again{hint}"
    )


def _example(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    names = [name for name in ("set_name", "set_seed", "network_seed") if name in rows and first[name] != ""]
    return ", ".join(f"{name.replace('_', ' ')} {first[name]}" for name in names) or "unnamed"


def _check_code(cell: str, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Check that all versions of the code are equal or listed as equivalent."""
    known = {*zip(*(rows[name] for name in names), strict=True)}
    found = [{name for name in each if name} for each in known]
    versions = [{part for name in each for part in name.split(" + ")} for each in found if each]
    alike = _connected([*versions, *_listed(ALIKE)])
    if len({number for each in versions for number, group in enumerate(alike) if each <= group}) > 1:
        commits = " and ".join(sorted("/".join(sorted(name[:12] for name in each)) for each in versions))
        raise CondenseryError(
            f"{cell}: rows of code that may compute otherwise in one cell: {commits}; evaluate the older "
            f"ones again, or say in {ALIKE.name} why they compute alike"
        )


def _connected(groups: Iterable[Iterable[str]]) -> list[set[str]]:
    """Join groups that have a member in common."""
    joined: list[set[str]] = []
    for group in map(set, groups):
        touching = [each for each in joined if each & group]
        joined = [each for each in joined if not each & group]
        joined.append(group.union(*touching))
    return joined


@cache
def _listed(path: Path) -> list[tuple[str, ...]]:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [tuple(entry["versions"]) for entry in entries.values()]
