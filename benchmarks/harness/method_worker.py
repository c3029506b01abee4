"""The process of one side of a comparison of a later method.

``python -m harness.method_worker frepo ours`` or ``theirs``; :mod:`harness.method_pairs` starts both and lets
only one of them work at a time.
"""

from __future__ import annotations

import importlib
import sys
import time
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from harness.against import Side
from harness.serving import serve


class Timed:
    """A side of which the steps are timed."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def check(self, path: str) -> None:
        """Write loss and gradients to a file."""
        found: dict[str, Any] = dict(self._side.check())
        np.savez(path, **found)

    def step(self, number: int) -> float:
        """Run a step; return its seconds of a processor, those of all threads."""
        started = time.process_time()
        self._side.step(number)
        return time.process_time() - started

    def versions(self, packages: list[str]) -> str:
        """Return the versions of packages as text."""
        return ", ".join(f"{name} {version(name)}" for name in packages)


def prepare(method: str, side: str, request: dict[str, Any]) -> Timed:
    """Return one side, ready for its first step."""
    module = importlib.import_module(f"harness.against.{method}.{side}")
    return Timed(getattr(module, side.capitalize())(**request))


if __name__ == "__main__":
    serve(partial(prepare, sys.argv[1], sys.argv[2]))
