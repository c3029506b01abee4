"""Every script and every method on a pretended accelerator: what they write there is what the CPU writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from condensery import methods
from condensery.errors import CondenseryError
from condensery.machine import device
from condensery.machine.device import Device
from harness import jobs, pretended
from tests import problems

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
JOBS = jobs.every()


@pytest.fixture(autouse=True)
def accelerator() -> Iterator[Device]:
    with pretended.present() as where:
        yield replace(problems.CPU, torch_device=where)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> jobs.Bench:
    return jobs.Bench(tmp_path_factory.mktemp("jobs"))


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_writes_what_it_writes_on_the_cpu(bench: jobs.Bench, job: jobs.Job) -> None:
    with pretended.counted() as counts:
        made = bench.run(job, pretended.NAME)
    assert jobs.differences(bench.expected(job), made) == {}
    # Some methods only choose among images; all else is to have been computed there.
    assert counts.operations > 0 or job.name in (
        "condense-random",
        "condense-reshaped",
        "condense-forgetting",
    )


def test_every_script_and_every_method_is_run() -> None:
    computing = {path.stem for path in SCRIPTS.glob("*.py") if "Job.open" in path.read_text()}
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
    chosen = device.choose(pretended.NAME)
    assert (chosen.torch_device.type, chosen.label) == (pretended.NAME, pretended.NAME)
    assert chosen.stack_networks
    assert not chosen.compile
    chosen.synchronise()
    with pytest.raises(CondenseryError, match="tf32 needs a CUDA device"):
        device.choose(pretended.NAME, "tf32")


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
    assert (there * torch.tensor(2.0)).sum().item() == 8  # a single number may come from the host


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
        with pretended.counted() as counts:
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
        with pretended.counted() as counts:
            copy()
        assert sum(counts.copies.values()) == 1
        assert not counts.waits
    with pretended.counted() as counts:
        (there.square() + 1).add_(3)[1:].view(3, 1).expand(3, 2).contiguous()
    assert not counts.waits
    assert not counts.copies
