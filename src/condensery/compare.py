"""Where two JSON-like values differ, for messages that name what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def first_difference(mine: Any, theirs: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return where two JSON-like values differ first, and the two values there; None where they are equal.

    An entry that one of two mappings lacks counts as None.
    """
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in sorted({*mine, *theirs}):
            inner = first_difference(mine.get(key), theirs.get(key), f"{path}.{key}" if path else str(key))
            if inner:
                return inner
        return None
    return None if mine == theirs else (path, mine, theirs)
