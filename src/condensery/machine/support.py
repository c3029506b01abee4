"""Whether hardware, driver, compiler and this build of PyTorch fit together."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
import sys
from functools import cache

import torch

from condensery.errors import CondenseryError
from condensery.machine import speed

_log = logging.getLogger(__name__)

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
"""Flags in /proc/cpuinfo of processors that multiply bfloat16: x86 with AVX-512 or AMX, and Arm."""

_OTHER_PYTORCH = "install a PyTorch that fits (docs/install.md), or choose device: cpu"


def refuse_unseen_gpu() -> None:
    """Check that the driver lists no GPU that PyTorch cannot use.

    A job for a GPU would otherwise run on the CPU, many times slower, without any message.

    Raises:
        CondenseryError: there is such a GPU. The message names the versions of driver and PyTorch.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return  # hidden intentionally
    # Without a GPU, nvidia-smi prints a message without these two fields.
    listed = [fields for fields in _nvidia_smi("name,driver_version") if len(fields) == 2]
    if listed:
        name, driver = listed[0]
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        raise CondenseryError(
            f"device auto: nvidia-smi lists {name} with driver {driver}, but PyTorch {torch.__version__}, "
            f"built for {built}, cannot use it: install a newer driver, {_OTHER_PYTORCH}"
        )


def check_served(device: torch.device) -> None:
    """Check that this build of PyTorch has kernels for a GPU.

    Raises:
        CondenseryError: the GPU is too old (or too new) for this build.
    """
    if torch.version.hip:
        return  # AMD's architectures have no such order
    major, minor = torch.cuda.get_device_capability(device.index or 0)
    kernels = [_capability(name) for name in torch.cuda.get_arch_list()]
    # Machine code (sm_XY) serves its generation from that minor version on; PTX (compute_XY) all later ones.
    served = any(
        (at == major and of <= minor) if kind == "sm" else (at, of) <= (major, minor)
        for kind, at, of in kernels
    )
    if kernels and not served:
        has = ", ".join(sorted({f"{at}.{of}" for _, at, of in kernels}, key=float))
        raise CondenseryError(
            f"{torch.cuda.get_device_name(device)} has compute capability {major}.{minor}, and PyTorch "
            f"{torch.__version__}, built for CUDA {torch.version.cuda}, serves {has}: {_OTHER_PYTORCH}"
        )


def computes_natively(device: torch.device, precision: str) -> bool:
    """Say whether a device has instructions for a precision: ``fp32``, ``tf32`` or ``bf16``."""
    if precision == "fp32":
        return True
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device.index or 0) >= (8, 0)
    return precision == "bf16" and device.type == "cpu" and _processor_multiplies_bf16()


def instructions() -> tuple[str, ...]:
    """Return the instruction set that PyTorch uses on this CPU, such as ``AVX512 BF16``; empty if unknown.

    Processors of the same name may differ, above all in virtual machines, which may hide instructions.
    """
    vectors = torch.backends.cpu.get_cpu_capability()
    if vectors in ("DEFAULT", "NO AVX"):
        return ()
    return (f"{vectors} BF16" if _processor_multiplies_bf16() else vectors,)


@cache
def slowdown_in_bf16() -> float:
    """Measure the time of a ConvNet's convolution in bfloat16 relative to float32 on this CPU."""
    return speed.convolution_rate(torch.float32) / speed.convolution_rate(torch.bfloat16)


def can_compile(device: torch.device) -> bool:
    """Say whether ``torch.compile`` can be used on a device, and log why it cannot."""
    if device.type == "cpu":
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            _log.info("not compiled, which is slower: no C++ compiler %r (set CXX to another)", compiler)
            return False
        return True
    if device.type != "cuda":
        return False
    if torch.cuda.get_device_capability(device.index or 0) < (7, 0):
        name = torch.cuda.get_device_name(device)
        _log.info("not compiled: Triton compiles for compute capability 7.0 and later, and %s is older", name)
        return False
    if not any(map(shutil.which, filter(None, (os.environ.get("CC"), "gcc", "clang", "cc")))):
        _log.info(
            "not compiled: Triton needs a C compiler, but gcc and clang are missing (set CC to another)"
        )
        return False
    return True


@cache
def compiler_works(device: torch.device) -> bool:
    """Say whether ``torch.compile`` succeeds on a device, by compiling a line; log the reason if it fails.

    A compiler may lack headers, or write its output where the system forbids execution.
    """
    # Its warning that a CPU has no CUDA would only clutter the log.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.zeros(64, device=device))
    except Exception as error:  # Inductor passes on any exception of its tools
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.endswith("raised:")), type(error).__name__)
        _log.warning("not compiled, which is slower: the compiler does not work (%s)", reason[:200])
        return False
    return True


def _capability(name: str) -> tuple[str, int, int]:
    kind, _, number = name.partition("_")
    digits = "".join(filter(str.isdigit, number))  # sm_90a is sm_90 with extensions
    return kind, int(digits[:-1]), int(digits[-1])


@cache
def _processor_multiplies_bf16() -> bool:
    if sys.platform == "darwin":
        found = _run(["sysctl", "-n", "hw.optional.arm.FEAT_BF16"])
        return platform.machine() == "arm64" and found.strip() == "1"
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.lower().startswith(("flags", "features")):
                    return not _BF16_FLAGS.isdisjoint(line.split(":", 1)[1].split())
    except OSError:
        pass
    return False


def _nvidia_smi(query: str) -> list[list[str]]:
    """Return the driver's report on each GPU, one list of fields per GPU; empty without a driver."""
    listed = _run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"])
    return [[field.strip() for field in line.split(",")] for line in listed.splitlines() if line.strip()]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
