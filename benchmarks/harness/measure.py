"""Measure one case in a separate process, so that memory and compiled code are its own.

It is started by :mod:`harness.processes`, reads a JSON object from its command line and prints one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from condensery.machine import device as devices
from condensery.machine.versions import versions
from harness import ceilings, clock, data, loops, method_loops, work
from harness.case import Case


def case(fields: dict[str, Any], device: str, seconds: float, spawned: float) -> dict[str, Any]:
    """Return a case's times, memory and work.

    Args:
        fields: fields of the case, see :class:`harness.case.Case`.
        device: auto, cpu or cuda.
        seconds: duration of the timed steps.
        spawned: start of the process, in seconds since the epoch.
    """
    measured = Case(**fields)
    opened = devices.choose(device, measured.precision, measured.compiled)
    with tempfile.TemporaryDirectory() as folder:
        real = data.real_data(measured, Path(folder))
        build = loops.build
        if measured.study == "methods":
            build = partial(method_loops.build, folder=Path(folder))
        step = build(measured, real, opened)
        start = time.time() - spawned
        times = clock.time_steps(step, opened, seconds=seconds)
        peak = clock.peak_bytes(opened.torch_device)
        part = build(measured, real, work.uncompiled(opened), part=True)
        needed = work.of_step(measured, part)
    return {
        "seconds": times.median,
        "spread": times.spread,
        "steps": times.steps,
        "first_seconds": times.first,
        "start_seconds": start,
        "peak_bytes": peak,
        "operations": needed.operations,
        "bytes": needed.bytes,
    }


def machine(precision: str, device: str, quick: bool) -> dict[str, Any]:
    """Return the machine's ceilings in one precision, and its description."""
    opened = devices.choose(device, precision)
    found = ceilings.measure(opened, quick=quick)
    about = {
        "device": opened.label,
        "kind": opened.torch_device.type,
        "threads": torch.get_num_threads(),
        **versions(),
    }
    return {"operations": found.operations, "bytes": found.bytes, "about": about}


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    torch.manual_seed(0)  # of the ceilings' random numbers; the library has streams of its own
    measured = case(**request) if request.pop("do") == "case" else machine(**request)
    print(json.dumps(measured))
