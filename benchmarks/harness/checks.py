"""Checks of a GPU: each measures one number, which must lie within bounds.

Most of them also run on the simulated accelerator (:mod:`harness.simulated`). The others test what it lacks:
compilation, lower precisions, streams, memory.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from condensery import data
from condensery.data import RealData
from condensery.errors import CondenseryError
from condensery.files import read_tensors
from condensery.machine import compiling
from condensery.machine import device as devices
from condensery.machine.device import Device
from condensery.training import stacking
from harness import data as noise
from harness import jobs, loops, simulated
from harness.case import Case
from harness.steps import LOOPS, Loop

# Tolerances of rounding between two devices in float32. With a relative error of 1e-6 in each convolution,
# product, mean and normalization, sets differ by 2e-5 of their standard deviation (those of LD, and trained
# networks, by up to 3e-4), no row differs, and of a generator's numbers 1 % differ by more than `_CLEARLY`:
# those whose gradient is a rounding error, which Adam follows nevertheless.
SETS, ROWS, GENERATORS = 2e-3, 1.0, 2.0
_CLEARLY = 1e-2

# Between two ways to compute a loop in float32, as the length of the difference over that of the result. The
# same errors make 2e-5, or 7e-4 where one turns a pixel's activation off; those of TF32 make 7e-3.
LOOPS_AGREE = 2e-3

# The memory budget of the check of memory, and how often a step may take it (`condensery.machine.device`).
BUDGET, TIMES = 10**9, 3

_SIDE = 1024


@dataclass(frozen=True)
class Stage:
    """The device and the jobs of the checks.

    Attributes:
        device: the device to check, in fp32.
        bench: the jobs, and the CPU's results.
    """

    device: Device
    bench: jobs.Bench

    @property
    def is_gpu(self) -> bool:
        """Whether it is a CUDA device."""
        return self.device.torch_device.type == "cuda"

    @property
    def digits(self) -> RealData:
        """The real images."""
        return data.load(self.bench.prepared("digits"))


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: short description.
        measure: function that returns the number.
        most: upper bound.
        least: lower bound.
        unit: unit of the number, with a leading space.
        missing: function that returns why the check is left out, or an empty text.
    """

    name: str
    measure: Callable[[Stage], float]
    most: float
    least: float = 0.0
    unit: str = ""
    missing: Callable[[Stage], str] = lambda stage: ""

    def holds(self, measured: float) -> bool:
        """Return whether a number is within the bounds; NaN is not."""
        return self.least <= measured <= self.most

    @property
    def bounds(self) -> str:
        """Text of the bounds, which follows the number."""
        low = f">= {self.least:.3g} and " if self.least else ""
        return f"{low}<= {self.most:.3g}{self.unit}"


def every() -> list[Check]:
    """Return the checks, in the order in which they run."""
    return [
        *(Check(f"job {job.name}", partial(_job, job=job), *_tolerance(job)) for job in jobs.every()),
        *(
            Check(f"copies and waits {loop.name}", partial(_host, loop=loop), loop.copies + loop.waits)
            for loop in LOOPS
        ),
        Check("images that lie on the device", _resident, 1e-6),
        Check("another stream", _stream, LOOPS_AGREE, missing=_no_gpu),
        Check("stacked networks", _stacked, LOOPS_AGREE, missing=_no_gpu),
        Check("product fp32", partial(_product, precision="fp32"), 1e-5, missing=_no_gpu),
        Check("product tf32", partial(_product, precision="tf32"), 1e-2, 1e-5, missing=_no_tf32),
        *(_lower("tf32", 0.1, loop) for loop in _named("dm", "training")),
        *(_lower("bf16", 0.2, loop, least=LOOPS_AGREE) for loop in _named("dm", "training")),
        *(
            Check(f"memory {name}", partial(_memory, loop=name), TIMES * BUDGET / 1e6, 1, " MB", _no_gpu)
            for name in ("dm", "dsa-pixels", "training")
        ),
        *(
            Check(f"compiled {loop.name}", partial(compiled, loop=loop), LOOPS_AGREE, missing=_no_compiler)
            for loop in LOOPS
            if loop.compiles
        ),
    ]


def _named(*names: str) -> list[Loop]:
    return [loop for loop in LOOPS if loop.name in names]


def _lower(precision: str, most: float, loop: Loop, least: float = 0.0) -> Check:
    missing = _no_tf32 if precision == "tf32" else _no_gpu
    measure = partial(in_precision, loop=loop, precision=precision)
    return Check(f"{precision} {loop.name}", measure, most, least, missing=missing)


def _no_gpu(stage: Stage) -> str:
    return "" if stage.is_gpu else "no GPU"


def _no_tf32(stage: Stage) -> str:
    if stage.is_gpu and torch.cuda.get_device_capability(stage.device.torch_device) < (8, 0):
        return "no TF32 before compute capability 8.0"
    return _no_gpu(stage)


def _no_compiler(stage: Stage) -> str:
    if stage.is_gpu and not stage.device.compile:
        return "no compiler, as the first lines say"
    return _no_gpu(stage)


# ---- outputs of every method and every script


def _tolerance(job: jobs.Job) -> tuple[float, float, str]:
    """Return the bounds of a job's difference, and the unit."""
    if job.script == "train_generator":
        return GENERATORS, 0.0, " % of the numbers"
    return (
        (SETS, 0.0, " standard deviations") if job.suffix in ("", ".safetensors") else (ROWS, 0.0, " points")
    )


def _job(stage: Stage, job: jobs.Job) -> float:
    """Return the difference between a job's outputs on the device and on the CPU.

    For sets, networks and rows this is the largest difference, without the coordinates of a t-SNE map, which
    depend on rounding; for generators it is the share of numbers that clearly differ.
    """
    result, expected = stage.bench.run(job, str(stage.device.torch_device)), stage.bench.expected(job)
    if job.script == "train_generator":
        return 100 * _share(read_tensors(expected)[0], read_tensors(result)[0])
    differences = jobs.differences(expected, result)
    for name in _COORDINATES if job.suffix == ".png" else ():
        differences.pop(name, None)
    return max(differences.values(), default=0.0)


_COORDINATES = ("x", "y")


def _share(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the share of numbers that differ by more than `_CLEARLY` standard deviations of their tensor."""
    differ = []
    for name, tensor in one.items():
        first, second = tensor.double(), other[name].double()
        differ.append(~((first - second).abs() <= _CLEARLY * first.std(correction=0)).flatten())
    return torch.cat(differ).double().mean().item()


# ---- copies and waits in a step


def _host(stage: Stage, loop: Loop) -> float:
    """Return the largest number of copies to the device and waits of the host in a step after the first."""
    step = loop.build(stage.digits, replace(stage.device, compile=False))
    step(0)
    most = 0
    for number in range(1, 4):
        with _counted(stage.device) as count:
            step(number)
        most = max(most, count())
    return most


@contextlib.contextmanager
def _counted(device: Device) -> Iterator[Callable[[], int]]:
    """Count copies and waits in the context; the yielded function returns their number afterwards."""
    if device.torch_device.type != "cuda":
        with simulated.counted() as counts:
            yield lambda: sum((counts.copies + counts.waits).values())
        return
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            # PyTorch also waits for a copy from the host, and warns about each wait.
            yield lambda: sum("synchronizing CUDA operation" in str(each.message) for each in caught)
        finally:
            torch.cuda.set_sync_debug_mode(before)


def _resident(stage: Stage) -> float:
    """Return the largest difference between images from the device's memory and from the host's."""
    train, rows, device = stage.digits.train, np.arange(0, 500, 3), stage.device.torch_device
    expected = train.batch(rows, torch.device("cpu"))
    result = train.resident(device).batch(torch.as_tensor(rows).to(device), device)
    return (result.cpu() - expected).abs().max().item()


# ---- checks that need a GPU


def results(stage: Stage, loop: Loop, device: Device) -> Tensor:
    """Return the results of the first steps of a loop on a device in one vector: float64, (n,)."""
    step = loop.build(stage.digits, device)
    return torch.cat([part.flatten().cpu().double() for number in range(3) for part in step(number)])


def relative(result: Tensor, exact: Tensor) -> float:
    """Return the norm of the difference of two vectors relative to that of the second."""
    return ((result - exact).norm() / exact.norm()).item()


def compiled(stage: Stage, loop: Loop) -> float:
    """Return the relative difference between a compiled loop and the same loop uncompiled.

    Raises:
        CondenseryError: nothing has been compiled.
    """
    from torch._dynamo.utils import counters  # this import takes seconds

    plain = results(stage, loop, replace(stage.device, compile=False))
    torch.compiler.reset()
    counters.clear()
    seconds, compiling.SECONDS = compiling.SECONDS, 0
    try:
        result = results(stage, loop, replace(stage.device, compile=True))
    finally:
        compiling.SECONDS = seconds
    if not counters["stats"]["unique_graphs"]:
        raise CondenseryError("nothing was compiled")
    return relative(result, plain)


def _stacked(stage: Stage) -> float:
    """Return the relative difference between networks trained as a stack on the device and on the CPU."""
    (loop,) = _named("training-stacked")
    cpu = replace(stage.device, torch_device=torch.device("cpu"), compile=False)
    return relative(results(stage, loop, stage.device), results(stage, loop, cpu))


def in_precision(stage: Stage, loop: Loop, precision: str) -> float:
    """Return the relative difference between a loop in a precision and in fp32, both not compiled."""
    name = str(stage.device.torch_device)
    exact = results(stage, loop, devices.choose(name, "fp32", compile=False))
    try:
        return relative(results(stage, loop, devices.choose(name, precision, compile=False)), exact)
    finally:
        devices.choose(name, "fp32")  # for the whole process


def _product(stage: Stage, precision: str) -> float:
    """Return the relative error of a matrix product on the device in a precision."""
    name = str(stage.device.torch_device)
    a, b = torch.randn(2, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    try:
        device = devices.choose(name, precision, compile=False).torch_device
        result = (a.to(device) @ b.to(device)).cpu()
    finally:
        devices.choose(name, "fp32")
    return relative(result.double(), a.double() @ b.double())


def _stream(stage: Stage) -> float:
    """Return the relative difference between a loop in a separate stream and in the default stream."""
    (loop,) = _named("dm")
    plain = results(stage, loop, replace(stage.device, compile=False))
    stage.device.synchronize()
    with torch.cuda.stream(torch.cuda.Stream(stage.device.torch_device)):
        result = results(stage, loop, replace(stage.device, compile=False))
    stage.device.synchronize()
    return relative(result, plain)


def _memory(stage: Stage, loop: str) -> float:
    """Return the peak memory that steps of a paper's size add to their initial state, in MB, under a budget.

    The budget binds: it holds the real images of one class of DM, a quarter of those of DSA, and a tenth of
    what the networks that are to be trained see together.
    """
    device = replace(stage.device, memory_bytes=BUDGET, compile=False)
    case = Case("loops", loop, images=25_000, batch_real={"dm": 400}.get(loop, 2_000))
    real = noise.real_data(case, Path())
    if loop == "training":
        groups = stacking.groups(case.network, real.info, case.classes * case.ipc, range(50), device)
        case = replace(case, networks=len(groups[0]))
    step = loops.build(case, real, device)
    before = torch.cuda.memory_allocated(device.torch_device)
    torch.cuda.reset_peak_memory_stats(device.torch_device)
    for number in range(2):
        step(number)
    return (torch.cuda.max_memory_allocated(device.torch_device) - before) / 1e6
