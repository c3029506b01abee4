"""Steps of a later method by this project and by its authors' code, in alternation."""

from __future__ import annotations

import importlib
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.against import Work
from harness.asking import Worker

# Both sides compile in their first steps.
_WARM = 2
# What the arithmetic libraries read when they are imported: one thread, and no GPU.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@dataclass(frozen=True)
class Outcome:
    """The result of a comparison.

    Attributes:
        theirs: seconds of a processor of each step of the authors' code.
        ours: those of this project.
        differences: ``loss`` and the gradients by name -> their difference, see :func:`difference`.
        their_versions: versions of the packages that the authors' code uses.
    """

    theirs: Sequence[float]
    ours: Sequence[float]
    differences: Mapping[str, float]
    their_versions: str

    def row(self) -> dict[str, Any]:
        """Return the measured columns of a table; the ratio is the authors' time divided by ours."""
        ratios = [a / b for a, b in zip(self.theirs, self.ours, strict=True)]
        gradients = [value for name, value in self.differences.items() if name != "loss"]
        return {
            "pairs": len(ratios),
            "their_seconds": statistics.median(self.theirs),
            "our_seconds": statistics.median(self.ours),
            "ratio": statistics.median(ratios),
            "ratio_least": min(ratios),
            "ratio_most": max(ratios),
            "loss_difference": self.differences["loss"],
            "gradient_difference": max(gradients),
            "their_versions": self.their_versions,
        }


def works(method: str, *, quick: bool) -> Sequence[Work]:
    """Return the works of a method, or the tiny one."""
    package = importlib.import_module(f"harness.against.{method}")
    return (package.QUICK,) if quick else package.WORKS


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference of two arrays, relative to the largest value of the second.

    Raises:
        ValueError: their shapes differ.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes differ: {ours.shape} and {theirs.shape}")
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def compare(method: str, work: Work, reference: Path, python: str, *, pairs: int) -> Outcome:
    """Run both sides, each in its own process with one thread, in turns.

    Args:
        method: one of :data:`harness.against.METHODS`.
        work: the work of both sides.
        reference: the checkout of the authors' code.
        python: the interpreter of their side.
        pairs: timed pairs of steps, after the warm-up of each side.

    Raises:
        CondenseryError: one of the two stopped.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, module = Path(name), ["harness.method_worker", method]
        with (
            Worker("ours", [*module, "ours"], folder, _ONE_THREAD) as ours,
            Worker("theirs", [*module, "theirs"], folder, _ONE_THREAD, python) as theirs,
        ):
            common = {"sizes": dict(work.sizes), "shared": str(folder / "shared.npz")}
            ours.ask(do="prepare", **common, compiled=work.compiled)
            theirs.ask(do="prepare", **common, reference=str(reference.resolve()))
            versions = theirs.ask(do="versions", packages=list(work.packages))
            found = []
            for number, side in enumerate((ours, theirs)):
                side.ask(do="check", path=str(folder / f"{number}.npz"))
                found.append(dict(np.load(folder / f"{number}.npz")))
            differences = {key: difference(found[0][key], value) for key, value in found[1].items()}
            seconds: tuple[list[float], list[float]] = ([], [])
            for number in range(_WARM + pairs):
                # The order within a pair alternates too, against drifts in the machine's speed.
                sides = list(zip((theirs, ours), seconds, strict=True))[:: 1 if number % 2 else -1]
                for side, times in sides:
                    times.append(side.ask(do="step", number=number))
    return Outcome(seconds[0][_WARM:], seconds[1][_WARM:], differences, versions)


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout, or ``unknown``."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
