"""The choice of networks from the search space, and their division into jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import torch

from condensery import networks, streams
from condensery.errors import CondenseryError

_Name = TypeVar("_Name")


def draw(count: int, widths: Sequence[int], seed: int) -> list[str]:
    """Return some networks of the search space, drawn without replacement, in the order of the space.

    Args:
        count: number of networks.
        widths: the widths of the networks to draw from, in channels.
        seed: the seed of the draw; it is not used if all networks are requested.

    Raises:
        CondenseryError: there are fewer networks of these widths.
    """
    space = networks.search_space(widths)
    if count > len(space):
        raise CondenseryError(
            f"{count} networks are more than the {len(space)} of width {', '.join(map(str, widths))}: "
            "give fewer"
        )
    order = torch.randperm(len(space), generator=streams.generator(seed, "search-space"))
    return [space[index] for index in sorted(order[:count].tolist())]


def part(names: Sequence[_Name], which: str) -> list[_Name]:
    """Return one part of the networks, such as ``3-of-30``: every thirtieth, starting with the third.

    Networks that are neighbors in the space take about the same time, so that all parts take about as long.

    Args:
        names: all networks.
        which: name of the part.

    Raises:
        CondenseryError: ``which`` does not name a part.
    """
    number, _, parts = which.partition("-of-")
    if not re.fullmatch("[0-9]{1,9}-of-[0-9]{1,9}", which) or not 1 <= int(number) <= int(parts):
        raise CondenseryError(f"part {which!r} of the networks does not exist: write K-of-N, such as 1-of-30")
    return list(names[int(number) - 1 :: int(parts)])
