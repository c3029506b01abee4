"""The process of one side of a comparison.

``python -m harness.worker ours`` or ``theirs``; :mod:`harness.pairs` starts both and lets only one of them
work at a time.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from condensery import data
from condensery.data import RealData
from harness import data as noise
from harness.pair_case import PairCase
from harness.serving import serve

# The accuracies of networks spread by about one point, and these images add as much to each.
TESTED = 2_000


class Side(Protocol):
    """The interface of one side."""

    def step(self, number: int) -> tuple[float, list[float]]:
        """Run one step; return its time in seconds and its results, one per network."""
        ...


def open_data(case: PairCase, prepared: str | None) -> RealData:
    """Return the data of both sides: a prepared data set, or noise without one.

    Trained networks are tested on the first `TESTED` test images, since a test of all takes longer.
    """
    real = data.load(Path(prepared)) if prepared else noise.real_data(case.case, Path())
    if case.kind != "train":
        return real
    return replace(real, test=real.test.subset(np.arange(min(TESTED, len(real.test)))))


def prepare(side: str, request: dict[str, Any]) -> Side:
    """Return one side, ready for its first step."""
    case = PairCase(**request.pop("case"))
    real = open_data(case, request.pop("prepared"))
    if side == "ours":
        from harness.ours import Ours

        return Ours(case, real, **request)
    from harness.theirs import Theirs

    return Theirs(case, real, **request)


if __name__ == "__main__":
    serve(partial(prepare, sys.argv[1]))
