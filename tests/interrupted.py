"""Runs of a method that are interrupted and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from condensery.methods import Method, Problem
from condensery.run import Run
from condensery.run.checkpoint import Checkpoint


class Stopped(Exception):
    """Raised to interrupt a run."""


class Stopping(Checkpoint):
    """A checkpoint that saves after every step and interrupts the run after a chosen one."""

    def __init__(self, path: Path, last: int = -1) -> None:
        """Interrupt the run after the step ``last``; never if it is -1."""
        super().__init__(path, "test", every_seconds=0)
        self.last = last
        self.saved: list[int] = []

    def save(self, step: int, state: Any) -> None:
        """Save, and interrupt the run after the step ``last``."""
        super().save(step, state)
        self.saved.append(step)
        if step == self.last:
            raise Stopped


def check_resumes(method: Method, problem: Problem, folder: Path, last: int) -> None:
    """Assert that a run interrupted after the step ``last`` and resumed equals an uninterrupted run."""
    method.condense(problem).save(folder / "undisturbed.safetensors")
    with pytest.raises(Stopped):
        method.condense(problem, run=Run(Stopping(folder / "state", last)))
    resumed = method.condense(problem, run=Run(Stopping(folder / "state", -1)))
    resumed.save(folder / "resumed.safetensors")
    one, other = ((folder / f"{name}.safetensors").read_bytes() for name in ("undisturbed", "resumed"))
    assert one == other
