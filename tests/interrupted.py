"""Runs that are interrupted and resumed, or that share their checkpoint with another run."""

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


class Recorded(Checkpoint):
    """A checkpoint that saves after every step, and keeps the contents of all its files in ``states``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "test", every_seconds=0)
        self.states: list[bytes] = []

    def save(self, step: int, state: Any) -> None:
        """Save, and keep the contents of the file."""
        super().save(step, state)
        self.states.append(self.path.read_bytes())


class Shared(Checkpoint):
    """A checkpoint whose file another run replaces: while this run begins, and after each of its saves."""

    def __init__(self, path: Path, states: list[bytes], ahead: int) -> None:
        """Use the contents of the other run's files, in order; it is ahead by some of them, or behind."""
        super().__init__(path, "test", every_seconds=0)
        self._states, self._number, self._saved = states, ahead, False

    def load(self) -> Any:
        """Load what the other run has saved meanwhile, if this one has saved nothing yet."""
        if not self._saved:
            self._replace()
        return super().load()

    def save(self, step: int, state: Any) -> None:
        """Save, before the other run does."""
        super().save(step, state)
        self._saved = True
        self._replace()

    def _replace(self) -> None:
        if self._number >= 0:
            self.path.write_bytes(self._states[min(self._number, len(self._states) - 1)])
        self._number += 1


def check_resumes(method: Method, problem: Problem, folder: Path, last: int) -> None:
    """Assert that a run interrupted after the step ``last`` and resumed equals an uninterrupted run."""
    method.condense(problem).save(folder / "undisturbed.safetensors")
    with pytest.raises(Stopped):
        method.condense(problem, run=Run(Stopping(folder / "state", last)))
    resumed = method.condense(problem, run=Run(Stopping(folder / "state", -1)))
    resumed.save(folder / "resumed.safetensors")
    one, other = ((folder / f"{name}.safetensors").read_bytes() for name in ("undisturbed", "resumed"))
    assert one == other
