"""Which networks of the search space are trained, and which of them by one job."""

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
        count: how many.
        widths: draw only from networks of these widths.
        seed: of the draw; if all networks are requested, nothing is drawn.

    Raises:
        CondenseryError: more networks than there are.
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
    """Return one part of the networks, such as ``3-of-30``: every thirtieth, from the third on.

    Neighbors in the space take about the same time, so every part gets some of each kind.

    Raises:
        CondenseryError: the text does not name a part.
    """
    number, _, parts = which.partition("-of-")
    if not re.fullmatch("[0-9]{1,9}-of-[0-9]{1,9}", which) or not 1 <= int(number) <= int(parts):
        raise CondenseryError(f"part {which!r} of the networks does not exist: write K-of-N, such as 1-of-30")
    return list(names[int(number) - 1 :: int(parts)])
