"""Choosing among several GPUs, pretended ones: one each, whoever ends how."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from condensery.errors import CondenseryError
from condensery.machine import device, slots

# Takes one of three devices, says so, and keeps it until its standard input ends.
TAKER = """
import sys
from condensery.machine import slots
slot = slots.take(["first", "second", "third"])
print(slot.index, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def takers() -> Iterator[list[subprocess.Popen[str]]]:
    """Return a list of processes that are ended after the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def taker(started: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    started.append(process)
    return process


def taken(process: subprocess.Popen[str]) -> int:
    return int(process.stdout.readline())


def properties(index: int) -> SimpleNamespace:
    """Return what PyTorch would say of a GPU."""
    return SimpleNamespace(uuid=f"GPU-{index}", total_memory=24 * 10**9)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that PyTorch sees two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: None)


def test_no_two_processes_have_the_same_device(takers: list) -> None:
    for _ in range(3):
        taker(takers)
    assert sorted(taken(process) for process in takers) == [0, 1, 2]


def test_a_device_is_free_again_when_its_process_ends_or_is_killed(takers: list) -> None:
    first = [taken(taker(takers)) for _ in range(3)]
    waiting = [taker(takers) for _ in range(2)]
    answered, _, _ = select.select([process.stdout for process in waiting], [], [], 2)
    assert answered == []
    takers[1].stdin.close()
    os.kill(takers[2].pid, signal.SIGKILL)
    assert sorted(map(taken, waiting)) == sorted(first[1:])


def test_auto_takes_a_device_of_its_own(gpus: None) -> None:
    first, second = device.choose("auto"), device.choose("auto")
    assert [str(d.torch_device) for d in (first, second)] == ["cuda:0", "cuda:1"]
    assert first.memory_bytes == 4 * 10**9  # a sixth of the GPU's
    del first
    assert str(device.choose("auto").torch_device) == "cuda:0"


def test_the_same_device_counts_as_such_whatever_is_visible(
    gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = device.choose("auto")
    # Another process may see the devices in another order: its cuda:0 is our cuda:1.
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: properties(1 - i))
    second = device.choose("auto")
    assert (first.torch_device.index, second.torch_device.index) == (0, 0)
    assert first.slot.lock.name != second.slot.lock.name


def test_the_only_visible_device_is_used_without_asking(gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    chosen = [device.choose("auto") for _ in range(2)]
    assert {(str(d.torch_device), d.slot) for d in chosen} == {("cuda", None)}


def test_a_device_that_is_named_is_that_device(gpus: None) -> None:
    held = device.choose("auto")
    assert str(device.choose("cuda:0").torch_device) == str(held.torch_device)
    with pytest.raises(CondenseryError, match="'cuda:2' is not on this machine: 2 CUDA devices"):
        device.choose("cuda:2")


@pytest.fixture
def backends() -> Iterator[tuple]:
    """Return what says whether a GPU may compute in TF32, as it was again after the test."""
    both = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in both]
    yield both
    for backend, allowed in zip(both, before, strict=True):
        backend.allow_tf32 = allowed


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_a_gpu_computes_in_tf32_only_when_asked(
    gpus: None, backends: tuple, precision: str, allowed: bool
) -> None:
    for backend in backends:
        backend.allow_tf32 = not allowed
    device.choose("cuda:1", precision)
    assert [backend.allow_tf32 for backend in backends] == [allowed, allowed]


@pytest.mark.parametrize(
    ("chosen", "count"),
    [("0,1,2", 3), ("GPU-8932f937,GPU-1", 2), ("3", 1), ("", 0), ("-1", 0), ("0,-1,1", 1)],
)
def test_visible_devices_are_those_of_cuda(chosen: str, count: int) -> None:
    assert slots.visible({"CUDA_VISIBLE_DEVICES": chosen}) == count


def test_visible_devices_are_else_those_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slots.visible({}) == 0
    tool.write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)\n  MIG 1g\nGPU 1: NVIDIA H200 (UUID: GPU-2)'\n"
    )
    tool.chmod(0o755)
    assert slots.visible({}) == 2
    tool.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n")
    assert slots.visible({}) == 0
