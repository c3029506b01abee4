"""The time of a step by kind of operator, from PyTorch's profiler."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from condensery.machine import device as devices
from condensery.machine.device import Device
from harness import data, loops
from harness.case import Case
from harness.loops import Step

# Kind of operator or kernel -> pattern of names; the first pattern that matches decides.
KINDS = {
    "convolutions": r"conv|implicit_gemm|wgrad|dgrad|cudnn",
    "matrix products": r"mm\b|_mm|gemm|linear|einsum|matmul",
    "augmentation": r"grid_sampl|affine_grid|constant_pad",
    "fused by the compiler": r"cpp_fused|cpp_|triton|inductor|graph_|Compiled",
    "normalization, activation, pooling": r"norm|relu|sigmoid|pool|threshold",
    "random numbers": r"rand|uniform|normal_|bernoulli",
    "copies and gathers": r"copy|_to\b|index|select|cat\b|stack|contiguous|clone|memcpy|fill|zero|slice",
    "sums and other arithmetic": r"",
}
OUTSIDE = "outside operators"

_WARM_UP, _STEPS = 2, 3


@dataclass(frozen=True)
class Profile:
    """Seconds of a step, in total and by kind of operator."""

    seconds: float
    kinds: Mapping[str, float]

    def share(self, kind: str) -> float:
        """Return a kind's part of the step, from 0 to 1."""
        return self.kinds.get(kind, 0.0) / self.seconds


def of_case(case: Case, device: str, folder: Path) -> Profile:
    """Profile some steps of a case, after a warm-up.

    Args:
        case: which loop, at which sizes.
        device: auto, cpu or cuda.
        folder: folder for files of images.
    """
    opened = devices.choose(device, case.precision, case.compiled)
    # Without it the time of compiled loops on a CPU has no operator.
    torch._inductor.config.cpp.enable_kernel_profile = True
    return of_step(loops.build(case, data.real_data(case, folder), opened), opened)


def of_step(step: Step, device: Device) -> Profile:
    """Profile a step, called with the numbers 0, 1, ...; see :func:`of_case`."""
    for number in range(_WARM_UP):
        step(number)
    device.synchronize()
    on_gpu = device.torch_device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        started = time.perf_counter()  # the first profiler of a process takes a second to start
        for number in range(_WARM_UP, _WARM_UP + _STEPS):
            step(number)
        device.synchronize()
        seconds = time.perf_counter() - started
    kinds: dict[str, float] = {}
    for event in profiler.key_averages():
        took = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        kind = kind_of(event.key)
        kinds[kind] = kinds.get(kind, 0.0) + 1e-6 * took / _STEPS
    seconds /= _STEPS
    return Profile(seconds, kinds | {OUTSIDE: max(0.0, seconds - sum(kinds.values()))})


def kind_of(operator: str) -> str:
    """Return the kind of an operator or kernel, by its name."""
    return next(kind for kind, pattern in KINDS.items() if re.search(pattern, operator, re.IGNORECASE))
