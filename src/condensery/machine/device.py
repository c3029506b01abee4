"""The device, precision, compilation and memory of a job, which are chosen here and passed on."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ParamSpec, TypeVar

import torch

from condensery.errors import CondenseryError
from condensery.machine import compiling, slots, support
from condensery.machine.slots import Slot

PRECISIONS = ("fp32", "tf32", "bf16")

_log = logging.getLogger(__name__)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_BATCH_BYTES = 4 * 10**9

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


@dataclass(frozen=True)
class Device:
    """The device and the mode of computation.

    Attributes:
        torch_device: the device that holds networks and batches.
        precision: ``fp32``, ``tf32`` (CUDA matrix units, float32 storage) or ``bf16`` (autocast).
        compile: whether networks in hot loops are compiled by ``torch.compile``.
        memory_bytes: the memory budget of the activations of one batch, in bytes.
        slot: the lock that keeps other processes off the device, if it was chosen among several; else None.
    """

    torch_device: torch.device
    precision: str
    compile: bool
    memory_bytes: int
    slot: Slot | None = None

    @property
    def label(self) -> str:
        """The name in result rows, such as ``cpu (AMD EPYC, AVX2, 2 threads)`` or ``NVIDIA H200``."""
        if self.torch_device.type == "cuda":
            return torch.cuda.get_device_name(self.torch_device)
        if self.torch_device.type != "cpu":
            return str(self.torch_device)
        about = (_processor(), *support.instructions(), f"{torch.get_num_threads()} threads")
        return f"cpu ({', '.join(about)})"

    @property
    def stack_networks(self) -> bool:
        """Whether several small networks are trained as one stacked network.

        A GPU is idle most of the time while one small network trains; a CPU is not, and its grouped
        convolutions are slower than separate ones.
        """
        return self.torch_device.type != "cpu"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context for forward passes of networks."""
        return torch.autocast(self.torch_device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def synchronize(self) -> None:
        """Wait until the device has finished its queued work: a GPU computes asynchronously."""
        torch.get_device_module(self.torch_device).synchronize(self.torch_device)

    def peak_memory(self) -> dict[str, float]:
        """Return the peak memory of this process so far, in MB of 2**20 bytes.

        ``memory_mb`` is the memory of the process on the host. For an accelerator that counts its memory,
        ``device_mb`` is the memory of its tensors, and ``device_reserved_mb`` that which PyTorch reserved.
        """
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = {"memory_mb": taken / (2**20 if sys.platform == "darwin" else 2**10)}
        if self.torch_device.type == "cpu":
            return found
        counts = torch.get_device_module(self.torch_device)
        if hasattr(counts, "max_memory_allocated"):
            found["device_mb"] = counts.max_memory_allocated(self.torch_device) / 2**20
            found["device_reserved_mb"] = counts.max_memory_reserved(self.torch_device) / 2**20
        return found

    def compiled(self, function: Callable[_Arguments, _Result], work: float) -> Callable[_Arguments, _Result]:
        """Return ``function`` compiled for fixed shapes, or itself if compilation would not pay off.

        Args:
            function: a network or one of its methods.
            work: the number of images that it will process, times the number of activations per image.
        """
        if not self.compile or not compiling.pays(self.torch_device, work):
            return function
        if not support.compiler_works(self.torch_device):
            return function
        _say_that_it_compiles()
        if self.torch_device.type == "cpu" and self.precision == "fp32":
            # Imported here, since the compiler takes seconds to import and most jobs do not need it.
            from condensery.machine import convolutions, winograd

            if winograd.available():
                return convolutions.compiled(function)
        return torch.compile(function, dynamic=False)

    def images_at_once(self, floats_per_image: int) -> int:
        """Return the number of images whose activations fit the memory budget.

        Args:
            floats_per_image: activations per image that are kept at the same time, in float32 values.
        """
        return max(1, self.memory_bytes // (4 * floats_per_image))


@cache
def _say_that_it_compiles() -> None:
    """Log once that compilation delays the first step."""
    _log.info("compiling: the first step takes a minute, or seconds where the compiler's cache has its code")


def choose(
    name: str = "auto",
    precision: str = "fp32",
    compile: bool | None = None,
    *,
    native_only: bool = False,
) -> Device:
    """Choose the device.

    Args:
        name: ``auto`` (CUDA if available), ``cpu``, ``cuda`` or ``cuda:1``, or the name of another
            accelerator that PyTorch supports here. If there are several GPUs, ``auto`` waits for one that no
            other process has chosen in this way.
        precision: one of :data:`PRECISIONS`; ``tf32`` needs CUDA.
        compile: whether to compile networks in hot loops; None compiles if a compiler is found.
        native_only: use ``precision`` only on a device that has instructions for it, and fp32 on others.

    Raises:
        CondenseryError: the machine does not offer the device or the precision, or has a GPU that this
            PyTorch cannot use.
    """
    if precision not in PRECISIONS:
        raise CondenseryError(f"precision {precision!r} is unknown: choose one of {', '.join(PRECISIONS)}")
    slot = None
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu":
            support.refuse_unseen_gpu()
        # A process that sees one GPU was assigned it by the user or by Slurm, or the machine has no other.
        if name == "cuda" and (count := torch.cuda.device_count()) > 1:
            slot = slots.take([str(torch.cuda.get_device_properties(i).uuid) for i in range(count)])
            name = f"cuda:{slot.index}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CondenseryError(f"device {name!r} is unknown: choose auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda") and not _present(device):
        raise CondenseryError(f"device {name!r} is not on this machine: choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CondenseryError(
            f"device {name!r} is not on this machine: {torch.cuda.device_count()} CUDA devices seen"
        )
    if device.type == "cuda":
        support.check_served(device)
    precision = _precision(device, precision, native_only=native_only)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    elif device.type == "cpu":
        _keep_freed_memory()
    if compile is None:
        compile = support.can_compile(device)
    return Device(device, precision, compile, _memory_budget(device), slot)


def _precision(device: torch.device, precision: str, *, native_only: bool) -> str:
    """Return the precision of the computation; log a fallback, or a precision that is slow here."""
    if support.computes_natively(device, precision):
        return precision
    if native_only:
        _log.info("precision: fp32, because this device has no instructions for %s", precision)
        return "fp32"
    if precision == "tf32" and device.type != "cuda":
        raise CondenseryError("precision tf32 needs a CUDA device: choose fp32 or bf16")
    if precision == "bf16" and device.type == "cpu":
        _log.warning(
            "precision bf16: this CPU has no instructions for it; a convolution takes %.0f times as long "
            "as in fp32",
            support.slowdown_in_bf16(),
        )
    return precision


def _present(device: torch.device) -> bool:
    """Say whether PyTorch can compute on a kind of device here."""
    try:
        return torch.get_device_module(device).is_available()
    except RuntimeError:
        return False  # such as the meta device, whose tensors have no values


def _memory_budget(device: torch.device) -> int:
    """Return the memory budget of a batch's activations, in bytes; second derivatives take three times it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device.index or 0).total_memory // 6
    return _BATCH_BYTES


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning it to the system after every large temporary.

    Activations are tens of megabytes each. By default malloc maps and unmaps each of them, and the page
    faults take as long as the convolutions.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _processor() -> str:
    """Return the processor's name if the system reports it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
