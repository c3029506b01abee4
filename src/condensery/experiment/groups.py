"""The groups of DM Table 4 from which condensing networks are drawn."""

from __future__ import annotations

RANDOM = "random"
"""A new random network each time, instead of a network of a pool."""

ALL = "all"
"""Every state of a pool."""

BINS = ("10-20", "20-30", "30-40", "40-50", "50-60", "60-70", "70-100")
"""States of a pool by their validation accuracy in percent."""

GROUPS = (RANDOM, *BINS, ALL)
"""In the order of the columns of DM Table 4, which calls the last but one 70."""


def belongs(accuracy: float, group: str) -> bool:
    """Say whether a state of a pool is in a group.

    Args:
        accuracy: on validation images, in percent.
        group: one of `BINS`, which contain their lower bound but not their upper one, except 100; or `ALL`.
    """
    if group == ALL:
        return True
    lower, upper = map(int, group.split("-"))
    return lower <= accuracy < upper or accuracy == upper == 100
