"""The speed of one core of this machine: a matrix product and a convolution, measured in about a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d

_SIDE = 512
_IMAGES, _CHANNELS, _PIXELS, _KERNEL = 8, 128, 16, 3  # the second block of the ConvNet


def rates(precision: str) -> tuple[float, float]:
    """Return the operations per second of a matrix product and of a convolution in a job's precision."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return product_rate(dtype), convolution_rate(dtype)


def product_rate(dtype: torch.dtype) -> float:
    """Return the operations per second of a matrix product in this precision, on the CPU with one thread."""
    a, b = (torch.ones(_SIDE, _SIDE, dtype=dtype) for _ in range(2))
    return 2 * _SIDE**3 / _least_seconds(lambda: a @ b)


def convolution_rate(dtype: torch.dtype) -> float:
    """Return the operations per second of a ConvNet's convolution in this precision, likewise."""
    images = torch.ones(_IMAGES, _CHANNELS, _PIXELS, _PIXELS, dtype=dtype)
    weights = torch.ones(_CHANNELS, _CHANNELS, _KERNEL, _KERNEL, dtype=dtype)
    operations = 2 * _IMAGES * (_CHANNELS * _PIXELS * _KERNEL) ** 2
    return operations / _least_seconds(lambda: conv2d(images, weights, padding=1))


def _least_seconds(function: Callable[[], Tensor], budget: float = 0.3) -> float:
    """Return the least time of several calls, until their times add up to the budget; at least one call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times: list[float] = []
        while sum(times) < budget:
            started = time.thread_time()  # of this core alone, since others may be busy
            function()
            times.append(time.thread_time() - started)
    finally:
        torch.set_num_threads(threads)
    return min(times)
