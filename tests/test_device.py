"""Devices: one of several simulated GPUs for each process, precision, and compilation."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from condensery.errors import CondenseryError
from condensery.machine import device, slots, support
from condensery.machine.busy import Meter

# Takes one of three devices, prints its index, and keeps it until the end of standard input.
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
    """Return a list of processes that the fixture ends after the test."""
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
    """Return a GPU's properties as PyTorch reports them."""
    return SimpleNamespace(uuid=f"GPU-{index}", total_memory=24 * 10**9, major=9, minor=0)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate two GPUs that PyTorch sees."""
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


ANSWERS = """#!/bin/sh
echo "$@" > {folder}/asked
for share in 80 90 "[N/A]" 100; do echo "$share"; done
touch {folder}/answered
exec sleep 60
"""


def test_a_meter_says_how_busy_the_driver_calls_the_gpu(
    gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(ANSWERS.format(folder=tmp_path))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    meter = Meter(torch.device("cuda", 1))
    while not (tmp_path / "answered").exists():
        time.sleep(0.01)
    assert meter.stop() == 90
    assert meter.stop() is None
    assert "--id=GPU-1 --query-gpu=utilization.gpu" in (tmp_path / "asked").read_text()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert Meter(torch.device("cuda", 1)).stop() is None


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
    """Return PyTorch's settings of TF32, which the fixture restores after the test."""
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


def cpuinfo(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Simulate a /proc/cpuinfo that has this line."""
    support._processor_multiplies_bf16.cache_clear()
    opened = open
    monkeypatch.setattr(
        "builtins.open",
        lambda file, *args, **options: (
            io.StringIO(f"model name : x\n{line}\n")
            if file == "/proc/cpuinfo"
            else opened(file, *args, **options)
        ),
    )


@pytest.mark.parametrize(
    ("line", "native"),
    [
        ("flags : fpu avx2 avx512f avx512_bf16", True),
        ("flags : fpu avx2 amx_tile amx_bf16", True),
        ("Features : fp asimd bf16 i8mm", True),
        ("flags : fpu avx2 avx512f avx512_vnni", False),
        ("Features : fp asimd", False),
    ],
)
def test_the_precision_of_a_protocol_is_for_processors_that_have_it(
    line: str, native: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cpuinfo(monkeypatch, line)
    with caplog.at_level("INFO"):
        chosen = device.choose("cpu", "bf16", compile=False, native_only=True)
    assert chosen.precision == ("bf16" if native else "fp32")
    messages = [record.message for record in caplog.records]
    assert messages == (
        [] if native else ["precision: fp32, because this device has no instructions for bf16"]
    )
    support._processor_multiplies_bf16.cache_clear()


def test_a_precision_that_is_asked_for_is_obeyed_and_its_price_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cpuinfo(monkeypatch, "flags : avx2")
    monkeypatch.setattr(support, "slowdown_in_bf16", lambda: 66.8)
    assert device.choose("cpu", "bf16", compile=False).precision == "bf16"
    assert "67 times as long" in caplog.text
    support._processor_multiplies_bf16.cache_clear()


@pytest.mark.parametrize(
    ("vectors", "flags", "label"),
    [
        ("AVX2", "avx2", "cpu (x, AVX2, 3 threads)"),
        ("AVX512", "avx2 avx512f", "cpu (x, AVX512, 3 threads)"),
        ("AVX512", "avx512f avx512_bf16", "cpu (x, AVX512 BF16, 3 threads)"),
        ("DEFAULT", "fp", "cpu (x, 3 threads)"),
    ],
)
def test_processors_of_one_name_are_told_apart_by_their_instructions(
    vectors: str, flags: str, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(monkeypatch, f"flags : {flags}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: vectors)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert device.choose("cpu", compile=False).label == label
    support._processor_multiplies_bf16.cache_clear()


def test_a_protocols_tf32_is_fp32_on_a_cpu() -> None:
    assert device.choose("cpu", "tf32", compile=False, native_only=True).precision == "fp32"
    with pytest.raises(CondenseryError, match="tf32 needs a CUDA device"):
        device.choose("cpu", "tf32")


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{line}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_gpu_that_pytorch_does_not_see_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto").torch_device.type == "cpu"
    nvidia_smi(tmp_path, monkeypatch, "Tesla T4, 470.82.01")
    with pytest.raises(
        CondenseryError, match=r"Tesla T4 with driver 470\.82\.01, but PyTorch 2.*device: cpu"
    ):
        device.choose("auto")
    assert device.choose("cpu").torch_device.type == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    assert device.choose("auto").torch_device.type == "cpu"


@pytest.mark.parametrize(
    ("capability", "served"),
    [((7, 0), False), ((6, 1), False), ((7, 5), True), ((8, 9), True), ((9, 0), True), ((13, 0), True)],
)
def test_a_gpu_without_kernels_in_this_pytorch_is_an_error(
    capability: tuple[int, int], served: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    architectures = ["sm_75", "sm_80", "sm_86", "sm_90a", "sm_120", "compute_120"]
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Some GPU")
    device = torch.device("cuda")
    if served:
        support.check_served(device)
        return
    with pytest.raises(CondenseryError, match=f"Some GPU has compute capability {capability[0]}"):
        support.check_served(device)


def test_a_gpu_is_compiled_for_where_triton_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device, capability = torch.device("cuda"), (8, 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "Some GPU")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level("INFO"):
        assert not support.can_compile(device)
        assert "C compiler" in caplog.text
        (tmp_path / "gcc").write_text("#!/bin/sh\n")
        (tmp_path / "gcc").chmod(0o755)
        assert support.can_compile(device)
        capability = (6, 1)
        assert not support.can_compile(device)
        assert "compute capability 7.0" in caplog.text


@pytest.mark.parametrize("compiler", ["/missing/icpx", "ccache g++", ""])
def test_a_missing_compiler_is_reported_in_one_line(
    compiler: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with caplog.at_level("INFO"):
        assert not support.can_compile(torch.device("cpu"))
    assert caplog.messages == [
        f"not compiled, which is slower: no C++ compiler {compiler!r} (set CXX to another)"
    ]


def _broken_compiler(folder: Path) -> dict[str, str]:
    broken = folder / "g++"
    broken.write_text("#!/bin/sh\necho 'Python.h: no such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}


def _no_execution(folder: Path) -> dict[str, str]:
    mount = ["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    return {"TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache")}


def _no_cache(folder: Path) -> dict[str, str]:
    (folder / "file").touch()
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "file" / "cache")}


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [_broken_compiler, _no_execution, _no_cache])
def test_without_a_compiler_that_works_nothing_is_compiled(
    spoil: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    program = (
        "import torch; from condensery.machine import device\n"
        "where = device.choose('cpu'); assert where.compile\n"
        "function = lambda x: x.cos() * 2\n"
        "assert where.compiled(function, 1e12) is function\n"
    )
    environment = os.environ | spoil(tmp_path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment
        )
    finally:
        if os.path.ismount(tmp_path):
            subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.returncode == 0, done.stderr
    assert "the compiler does not work" in done.stderr


def test_a_driver_without_a_gpu_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    nvidia_smi(tmp_path, monkeypatch, "No devices were found")
    assert device.choose("auto").torch_device.type == "cpu"
