"""The measured limits of the machine: the rate of a large matrix product and of a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from condensery.machine.device import Device

# Side of the matrices and bytes of the tensor that is copied, by kind of device and for quick runs.
_SIZES = {"cpu": (2048, 2**28), "cuda": (8192, 2**31), "quick": (512, 2**24)}


@dataclass(frozen=True)
class Ceilings:
    """Operations per second of a matrix product, and bytes per second of a copy, read and written."""

    operations: float
    bytes: float

    def least_seconds(self, operations: float, bytes: float) -> float:
        """Return the least time of some work in seconds, if arithmetic and memory access overlap fully."""
        return max(operations / self.operations, bytes / self.bytes)


def measure(device: Device, *, quick: bool) -> Ceilings:
    """Measure both rates, each as the fastest of many calls on random numbers."""
    on = device.torch_device
    side, size = _SIZES["quick" if quick else on.type]
    dtype = torch.bfloat16 if device.precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=on).to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    source = torch.randn(size // 4, device=on).view(torch.uint8).view(dtype)
    target = torch.empty_like(source)
    operations = 2 * side**3 / _fastest(lambda: torch.mm(a, b, out=product), device)
    return Ceilings(operations, 2 * size / _fastest(lambda: target.copy_(source), device))


def _fastest(function: Callable[[], Tensor], device: Device, seconds: float = 1.0) -> float:
    """Return the least time of a call in seconds, after three warm-up calls."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 8 or time.perf_counter() - started < seconds:
        device.synchronize()
        before = time.perf_counter()
        function()
        device.synchronize()
        times.append(time.perf_counter() - before)
    return min(times[3:])
