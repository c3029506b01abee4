"""Both sides of a comparison in alternating steps, and their results."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import clock
from harness.asking import Worker
from harness.pair_case import PairCase


@dataclass(frozen=True)
class Outcome:
    """The result of a comparison.

    Attributes:
        case: the comparison.
        theirs: seconds of each step of the authors' code.
        ours: seconds of ours.
        their_values: results of the authors' steps: losses, or accuracies in percent.
        our_values: ours.
    """

    case: PairCase
    theirs: Sequence[float]
    ours: Sequence[float]
    their_values: Sequence[float]
    our_values: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """The authors' seconds divided by ours, for each pair of steps."""
        return [a / b for a, b in zip(self.theirs, self.ours, strict=True)]

    def row(self) -> dict[str, Any]:
        """Return the row of a table: medians of times, means of results."""
        difference, error = difference_of_means(self.our_values, self.their_values)
        return {
            **asdict(self.case),
            "pairs": len(self.theirs),
            "their_seconds": statistics.median(self.theirs),
            "our_seconds": statistics.median(self.ours),
            "ratio": statistics.median(self.ratios),
            "ratio_spread": clock.spread(self.ratios),
            "their_value": statistics.mean(self.their_values),
            "our_value": statistics.mean(self.our_values),
            "difference": difference,
            "difference_error": error,
        }


def difference_of_means(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Return mean(a) - mean(b) and its standard error, of independent draws; NaN from single draws."""
    if min(len(a), len(b)) < 2:
        return statistics.mean(a) - statistics.mean(b), math.nan
    error = math.sqrt(sum(statistics.variance(values) / len(values) for values in (a, b)))
    return statistics.mean(a) - statistics.mean(b), error


def compare(case: PairCase, reference: Path, prepared: Path | None, device: str, *, steps: int) -> Outcome:
    """Run both sides, each in its own process, in turns.

    Args:
        case: the work of both sides.
        reference: the checkout of the authors' code.
        prepared: a prepared data set; None for noise.
        device: cpu or cuda.
        steps: timed pairs of steps, after one warm-up step of each side.

    Raises:
        CondenseryError: one of the two stopped.
    """
    # The authors' code uses every visible GPU.
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] if device == "cuda" else ""
    visible = {"CUDA_VISIBLE_DEVICES": seen}
    with (
        tempfile.TemporaryDirectory() as folder,
        Worker("theirs", ["harness.worker", "theirs"], Path(folder), visible) as theirs,
        Worker("ours", ["harness.worker", "ours"], Path(folder), visible) as ours,
    ):
        common = {
            "case": asdict(case),
            "prepared": str(prepared.resolve()) if prepared else None,
            "device": device,
            "exchange": str(Path(folder) / "weights.pt"),
        }
        theirs.ask(do="prepare", **common, reference=str(reference.resolve()))
        ours.ask(do="prepare", **common)
        seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
        values: dict[str, list[float]] = {"theirs": [], "ours": []}
        for number in range(steps + 1):
            # The order within a pair alternates too, against drifts in the machine's speed.
            sides = [("theirs", theirs), ("ours", ours)][:: 1 if number % 2 else -1]
            for name, side in sides:
                took, results = side.ask(do="step", number=number)
                if number:
                    seconds[name].append(took)
                    values[name] += results
    return Outcome(case, seconds["theirs"], seconds["ours"], values["theirs"], values["ours"])
