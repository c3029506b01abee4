"""Every script and every method writes the same on a simulated accelerator as on the CPU."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import gpu_check
from condensery import commands, console, methods
from condensery.errors import CondenseryError
from condensery.machine import device
from condensery.machine.device import Device
from condensery.methods.herding import herd
from condensery.methods.kcenter import k_center
from condensery.reporting import description
from harness import checks, jobs, simulated
from harness.checks import Check, Stage
from harness.steps import LOOPS, Loop
from tests import problems

COMMANDS = Path(commands.__file__).parent
JOBS = jobs.every()

# One job of each kind for the fast suite: learned, selected and sampled sets, and rows.
SHORT = (
    "pretrain",
    "train_generator-gmmn",
    "condense-dm",
    "condense-ld",
    "condense-herding",
    "condense-gmmn",
    "condense-snapshots",
    "evaluate-dsa",
    "evaluate-bn",
    "continual",
    "search-proxy",
)


# In standard deviations. An accelerator augments many images in one operation, which rounds differently.
ROUNDING = 1e-5


@pytest.fixture(autouse=True)
def accelerator() -> Iterator[Device]:
    with simulated.present() as device:
        yield replace(problems.CPU, torch_device=device)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> jobs.Bench:
    return jobs.Bench(tmp_path_factory.mktemp("jobs"))


@pytest.mark.parametrize(
    "job",
    [pytest.param(job, marks=() if job.name in SHORT else pytest.mark.slow) for job in JOBS],
    ids=lambda job: job.name,
)
def test_a_job_writes_what_it_writes_on_the_cpu(bench: jobs.Bench, job: jobs.Job) -> None:
    with simulated.counted() as counts:
        results = bench.run(job, simulated.NAME)
    found = jobs.differences(bench.expected(job), results)
    assert max(found.values(), default=0.0) <= ROUNDING, found
    # Some methods only select images; everything else must have been computed on the accelerator.
    assert counts.operations > 0 or job.name in (
        "condense-random",
        "condense-reshaped",
        "condense-forgetting",
    )


def test_rows_log_and_description_say_what_memory_a_job_took(
    bench: jobs.Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        written = bench.run(next(job for job in JOBS if job.name == "evaluate-dsa"), simulated.NAME)
    row = pd.read_parquet(written).iloc[0]
    assert {name: row[name] for name in simulated.TAKEN} == simulated.TAKEN
    assert row["memory_mb"] > 50
    assert re.search(r"peak: \d+ MB of the host, 3 MB of the device, which holds 20 MB", caplog.text)
    shown = description.describe(written)
    assert re.search(r"device_mb +3$", shown, re.MULTILINE)
    assert re.search(r"device_reserved_mb +20$", shown, re.MULTILINE)


def test_every_script_and_every_method_is_run() -> None:
    computing = {path.stem for path in COMMANDS.glob("*.py") if "opened(args)" in path.read_text()}
    assert computing == {job.script for job in JOBS}
    condensed = {
        job.arguments[job.arguments.index("--method") + 1] for job in JOBS if job.script == "condense"
    }
    assert condensed >= set(methods.names())


def test_differences_are_found(bench: jobs.Bench, tmp_path: Path) -> None:
    one = bench.expected(next(job for job in JOBS if job.name == "condense-random"))
    other = bench.expected(next(job for job in JOBS if job.name == "condense-dm"))
    assert jobs.differences(one, one) == {}
    assert set(jobs.differences(one, other)) == {"images"}


def test_the_device_is_chosen_as_any_other_is() -> None:
    chosen = device.choose(simulated.NAME)
    assert (chosen.torch_device.type, chosen.label) == (simulated.NAME, simulated.NAME)
    assert chosen.stack_networks
    assert not chosen.compile
    chosen.synchronize()
    with pytest.raises(CondenseryError, match="tf32 needs a CUDA device"):
        device.choose(simulated.NAME, "tf32")


@pytest.mark.parametrize("name", ["meta", "xpu:0"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(CondenseryError, match=f"device '{name}' is not on this machine"):
        device.choose(name)


def test_what_a_gpu_refuses_is_refused(accelerator: Device) -> None:
    here, there = torch.ones(2, 2), torch.ones(2, 2).to(accelerator.torch_device)
    for mix in (lambda: here + there, lambda: torch.stack([here, there]), lambda: there.where(here > 0, 0)):
        with pytest.raises(RuntimeError, match="on the same device"):
            mix()
    with pytest.raises(RuntimeError, match="random numbers are drawn on the CPU"):
        torch.randn(3, device=accelerator.torch_device)
    with pytest.raises(RuntimeError, match="random numbers are drawn on the CPU"):
        torch.randn_like(there)
    assert (there * torch.tensor(2.0)).sum().item() == 8  # a scalar may come from the host


def test_waits_and_copies_are_counted(accelerator: Device) -> None:
    there, mask = (t.to(accelerator.torch_device) for t in (torch.arange(4.0), torch.arange(4) > 1))
    waiting = (
        there.sum().item,
        there.tolist,
        there.cpu,
        lambda: there[mask],
        lambda: bool(mask[0]),
        mask.nonzero,
    )
    for wait in waiting:
        with simulated.counted() as counts:
            wait()
        assert sum(counts.waits.values()) == 1
        assert not counts.copies
    copying = (
        lambda: torch.ones(3).to(there.device),
        lambda: torch.tensor([1.0, 2.0], device=there.device),
        lambda: there[torch.tensor([0, 1])],
        lambda: there.copy_(torch.zeros(4)),
    )
    for copy in copying:
        with simulated.counted() as counts:
            copy()
        assert sum(counts.copies.values()) == 1
        assert not counts.waits
    with simulated.counted() as counts:
        (there.square() + 1).add_(3)[1:].view(3, 1).expand(3, 2).contiguous()
    assert not counts.waits
    assert not counts.copies


def test_launches_are_counted_and_views_are_not(accelerator: Device) -> None:
    there = torch.arange(6.0).to(accelerator.torch_device)
    with simulated.counted() as counts:
        there.view(2, 3).t()[1:].expand(4, 2, 2)
        torch.empty(3, device=there.device)
    assert counts.launches == 0
    with simulated.counted() as counts:
        there.square().add_(1)
        torch._foreach_mul_([there, there.view(2, 3)], 2.0)
    assert counts.launches == 3


def test_without_arithmetic_an_operation_computes_once_for_its_shapes(accelerator: Device) -> None:
    one, two = (torch.full((2, 2), value).to(accelerator.torch_device) for value in (1.0, 2.0))
    with simulated.without_arithmetic():
        assert (one + one).tolist() == (two + two).tolist() == [[2.0, 2.0]] * 2
        assert (two[0] + two[0]).tolist() == [4.0, 4.0]
    assert (two + two).tolist() == [[4.0, 4.0]] * 2


# ---- copies, waits and launches in a step of each hot loop


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
def test_a_step_copies_and_waits_no_more_than_it_must(accelerator: Device, loop: Loop) -> None:
    step = loop.build(problems.real_data(), accelerator)
    step(0)
    for number in range(1, 3):
        with simulated.counted() as counts:
            step(number)
        assert sum(counts.copies.values()) <= loop.copies, counts.copies
        assert sum(counts.waits.values()) <= loop.waits, counts.waits
        assert counts.launches <= loop.launches


@pytest.mark.parametrize("select", [herd, k_center])
def test_a_selection_waits_once_for_all_its_images(accelerator: Device, select: Any) -> None:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    x[7] = x[3]
    there = x.to(accelerator.torch_device)
    with simulated.counted() as counts:
        chosen = select(there, 20)
    assert sum(counts.waits.values()) == 1
    assert not counts.copies
    assert torch.equal(chosen, select(x, 20))


@pytest.mark.parametrize("name", ["dm", "dsa", "dsa-network", "training-stacked"])
def test_a_step_asks_for_the_same_operations_whatever_is_drawn(accelerator: Device, name: str) -> None:
    """A recorded graph of a step requires this."""
    step = next(loop for loop in LOOPS if loop.name == name).build(problems.real_data(), accelerator)
    step(0)
    launches = set()
    for number in range(1, 4):
        with simulated.counted() as counts:
            step(number)
        launches.add(counts.launches)
    assert len(launches) == 1


# ---- the check of a GPU


@pytest.fixture
def wrong_by_a_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make convolutions of the simulated accelerator wrong by a percent."""
    right = simulated._run

    def run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        wrong = right(operation, args, kwargs)
        if operation._schema.name == "aten::convolution":
            wrong.host.mul_(1 + 0.01 * torch.randn(wrong.shape, generator=torch.Generator().manual_seed(0)))
        return wrong

    monkeypatch.setattr(simulated, "_run", run)


def checked(monkeypatch: pytest.MonkeyPatch, todo: list[Check]) -> int:
    """Return the exit status of the command that checks an accelerator, limited to some of its checks."""
    monkeypatch.setattr(checks, "every", lambda: todo)
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--quick"])
    return console.run(gpu_check.main)


def some(*names: str) -> list[Check]:
    return [check for check in checks.every() if check.name in names]


NAMES = ("job condense-dm", "copies and waits dm", "images that lie on the device", "bf16 dm")


def test_the_check_says_what_it_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(monkeypatch, some(*NAMES)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[1].split()[3]) < 1e-6  # sums are computed in another order than on the CPU
    assert [" ".join(line.split()) for line in lines[2:-2]] == [
        "copies and waits dm ok 1 <= 1",
        "images that lie on the device ok 0 <= 1e-06",
        "bf16 dm left out no GPU",
    ]
    assert lines[-1] == "no check failed"


def test_the_check_fails_on_an_accelerator_that_computes_wrongly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong_by_a_percent: None
) -> None:
    assert checked(monkeypatch, some(*NAMES)) == 1
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines() if "FAILED" in line] == ["job"]
    assert printed.err.endswith("error: 1 checks FAILED: job condense-dm\n")


def test_a_check_that_raises_has_failed_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(stage: Stage) -> float:
        raise RuntimeError("out of memory\nand more")

    def refused(stage: Stage) -> float:
        logging.getLogger("condensery").warning("no compiler")
        raise CondenseryError("nothing was compiled")

    def ended(stage: Stage) -> float:
        print("error: no such file", file=sys.stderr)
        raise SystemExit(1)

    raising = [
        Check("broken", broken, most=1.0),
        Check("refused", refused, most=1.0),
        Check("ended", ended, 1),
    ]
    nothing = Check("nothing", lambda stage: float("nan"), most=1.0)
    much = Check("much", lambda stage: 3, most=2)
    little = Check("little", lambda stage: 3, most=4, least=3.5)
    enough = Check("enough", lambda stage: 3, most=3, least=3)
    assert checked(monkeypatch, [*raising, nothing, much, little, enough]) == 1
    printed = capsys.readouterr()
    for reason in ("RuntimeError: out of memory", "nothing was compiled; no compiler", "error: no such file"):
        assert f"  {reason}\n" in printed.out
    assert printed.err.endswith("6 checks FAILED: broken, refused, ended, nothing, much, little\n")


def test_the_check_wants_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu_check.py"])
    assert console.run(gpu_check.main) == 1
    assert "there is no GPU that PyTorch sees" in capsys.readouterr().err


@pytest.mark.slow
def test_every_check_passes_on_a_simulated_accelerator_without_snakemake_and_dvc(tmp_path: Path) -> None:
    for name in ("snakemake", "dvc"):
        (tmp_path / f"{name}.py").write_text("raise ImportError\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [jobs.ROOT / "benchmarks" / "gpu.sh", "--check", "--quick"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(checks.every()) + 3
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] in ([], ["__pycache__"])


@pytest.mark.slow
@pytest.mark.skipif(not device.choose("cpu").compile, reason="no C++ compiler")
def test_what_needs_a_gpu_is_measured_as_it_is_there(bench: jobs.Bench) -> None:
    stage = Stage(replace(problems.CPU, compile=True), bench)
    dm_loop = next(loop for loop in LOOPS if loop.name == "dm")
    assert 0 <= checks.compiled(stage, dm_loop) <= checks.LOOPS_AGREE
    assert checks.LOOPS_AGREE <= checks.in_precision(stage, dm_loop, "bf16") <= 0.2
    uncompiled = next(loop for loop in LOOPS if loop.name == "mmd")
    with pytest.raises(CondenseryError, match="nothing was compiled"):
        checks.compiled(stage, uncompiled)
