"""Start a process for each measurement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from condensery.errors import CondenseryError

BENCHMARKS = Path(__file__).parents[1]
SOURCE = BENCHMARKS.parent / "src"


def environment(source: Path = SOURCE) -> dict[str, str]:
    """Return an environment in which Python finds the harness, and the library in a folder."""
    found = [str(BENCHMARKS), str(source), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(found)}


def machine(precision: str, device: str, *, quick: bool) -> dict[str, Any]:
    """See :func:`harness.measure.machine`."""
    return _ask(do="machine", precision=precision, device=device, quick=quick)


def case(
    fields: dict[str, Any], device: str, *, seconds: float, threads: int | None = None
) -> dict[str, Any]:
    """See :func:`harness.measure.case`; ``threads`` of PyTorch are, by default, as many as cores."""
    return _ask(
        threads=threads, do="case", fields=fields, device=device, seconds=seconds, spawned=time.time()
    )


def host(loop: str, source: Path) -> dict[str, Any]:
    """See :func:`harness.host.measure`, with the library in a folder."""
    return _answer(["harness.host", loop], loop, source)


def _ask(*, threads: int | None = None, **request: Any) -> dict[str, Any]:
    """Run one measurement in a separate process, see :func:`_answer`."""
    what = f"{request['do']} {request.get('fields', '')}"
    return _answer(["harness.measure", json.dumps(request)], what, SOURCE, threads)


def _answer(module: list[str], what: str, source: Path, threads: int | None = None) -> dict[str, Any]:
    """Run a module of the harness in a separate process, and return the object that it prints.

    Raises:
        CondenseryError: it failed; the message has the last line of its output.
    """
    command = [sys.executable, "-m", *module]
    limited = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    done = subprocess.run(command, env=environment(source) | limited, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CondenseryError(f"{what}: measuring failed: {lines[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
