"""Times and memory of a step, on either kind of device."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from condensery.machine.device import Device

# Target duration of a block of steps.
_BLOCK_SECONDS = 0.5


@dataclass(frozen=True)
class Times:
    """Seconds of a step.

    Attributes:
        first: of the first step, compilation included.
        median: of the timed steps.
        spread: between the first and the third quartile of the timed steps.
        steps: number of timed steps.
    """

    first: float
    median: float
    spread: float
    steps: int


def time_steps(step: Callable[[int], None], device: Device, *, seconds: float, least: int = 3) -> Times:
    """Time repeated steps after a warm-up.

    A GPU works asynchronously, so that short steps are timed in blocks between two waits.

    Args:
        step: the function to time; its argument is the number of the step.
        device: the device that it computes on.
        seconds: duration of the timed steps.
        least: number of blocks to time even if that takes longer.
    """
    first, second = (_block(step, device, number, 1) for number in range(2))
    block = 1
    if device.torch_device.type == "cuda":
        block = round(min(10, max(1, _BLOCK_SECONDS / second)))
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < least or time.perf_counter() - started < seconds:
        times.append(_block(step, device, 2 + block * len(times), block))
    return Times(first, statistics.median(times), spread(times), block * len(times))


def spread(values: list[float]) -> float:
    """Return the distance between the first and the third quartile."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def peak_bytes(device: torch.device) -> int:
    """Return the most memory held so far: on a GPU in tensors, otherwise by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return 1024 * int(fields["VmHWM"].split()[0])
    except (OSError, KeyError):
        # Includes the memory of the parent process at the start of this one.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else 1024 * most


def _block(step: Callable[[int], None], device: Device, first: int, count: int) -> float:
    """Return the seconds of a step, averaged over a block of them."""
    device.synchronize()
    started = time.perf_counter()
    for number in range(first, first + count):
        step(number)
    device.synchronize()
    return (time.perf_counter() - started) / count
