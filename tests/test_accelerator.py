"""Every script and every method on a pretended accelerator: what they write there is what the CPU writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from condensery import commands, methods
from condensery.errors import CondenseryError
from condensery.machine import device
from condensery.machine.device import Device
from condensery.methods import dd, dm, gradient_matching, ld, mmd
from condensery.methods.pixels import Pixels
from condensery.training.evaluation import StackedNetworks, train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from harness import jobs, pretended
from tests import problems

COMMANDS = Path(commands.__file__).parent
JOBS = jobs.every()


@pytest.fixture(autouse=True)
def accelerator() -> Iterator[Device]:
    with pretended.present() as device:
        yield replace(problems.CPU, torch_device=device)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> jobs.Bench:
    return jobs.Bench(tmp_path_factory.mktemp("jobs"))


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_writes_what_it_writes_on_the_cpu(bench: jobs.Bench, job: jobs.Job) -> None:
    with pretended.counted() as counts:
        results = bench.run(job, pretended.NAME)
    assert jobs.differences(bench.expected(job), results) == {}
    # Some methods only choose among images; all else is to have been computed there.
    assert counts.operations > 0 or job.name in (
        "condense-random",
        "condense-reshaped",
        "condense-forgetting",
    )


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
    chosen = device.choose(pretended.NAME)
    assert (chosen.torch_device.type, chosen.label) == (pretended.NAME, pretended.NAME)
    assert chosen.stack_networks
    assert not chosen.compile
    chosen.synchronize()
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


# ---- what the host costs the device in a step of each hot loop


def recipe(augmentation: str) -> Recipe:
    return Recipe(
        "r", epochs=0, lr=0.01, momentum=0.9, weight_decay=0.0, batch=256, augmentation=augmentation
    )


def dm_step(device: Device) -> Callable[[int], object]:
    problem = problems.problem(device=device)
    matcher, pixels = dm.Matcher(problem), Pixels(problem)
    return lambda step: pixels.step(matcher.gradient(pixels.images, step)[0])


def mmd_step(device: Device) -> Callable[[int], object]:
    problem = problems.problem(device=device, parameters={"kernel": "rbf", "width": 1.0})
    matcher, pixels = mmd.Matcher(problem), Pixels(problem)
    return lambda step: pixels.step(matcher.gradient(pixels.images, step)[0])


def matching(device: Device) -> tuple[gradient_matching.Matcher, Pixels]:
    parameters = {"inner_loop": 3, "outer_loop": 3, "batch_net": 4, "lr_net": 0.01, "distance": "layerwise"}
    problem = problems.problem(device=device, parameters=parameters)
    matcher, pixels = gradient_matching.Matcher(problem, problems.STRATEGY), Pixels(problem)
    matcher.renew(0)
    return matcher, pixels


def dsa_step(device: Device) -> Callable[[int], object]:
    matcher, pixels = matching(device)
    return lambda step: pixels.step(matcher.gradient(pixels.images, 0, step)[0])


def dsa_training(device: Device) -> Callable[[int], object]:
    matcher, pixels = matching(device)
    return lambda step: matcher.train(pixels.images, 0, step)


def dd_step(device: Device) -> Callable[[int], object]:
    parameters = {"steps": 1, "epochs": 2, "networks": 1, "lr_net": 0.02, "batch_real": 16}
    unrolled = dd.Unrolled(problems.problem(device=device, parameters=parameters))
    images, raw = unrolled.start()
    return lambda step: unrolled.gradient(images, raw, step)


def ld_step(device: Device) -> Callable[[int], object]:
    parameters = {"lr_label": 0.1, "lr_inner": 0.01, "lr_net": 0.01, "batch_net": 4, "batch_real": 16}
    return ld.Learner(problems.problem(device=device, parameters=parameters | {"patience": 99})).step


def training(device: Device, count: int, augmentation: str) -> Callable[[int], object]:
    data = problems.real_data()
    stacked = StackedNetworks("convnet-d2-w16", data.info, range(count), device, images=0)
    samples = Samples.of_split(data.train, device)
    return lambda step: train(stacked, samples, recipe(augmentation))


@pytest.mark.parametrize(
    ("loop", "copies", "waits"),
    [
        (dm_step, 2, 0),  # weights, and which real images
        (mmd_step, 1, 0),  # which real images
        (dsa_step, 1, 0),  # which real images, of all classes together
        (dsa_training, 2, 0),  # batches and augmentations of all epochs
        (dd_step, 3, 1),  # weights, real images, their labels; the rates, which are read
        (ld_step, 3, 1),  # images, real images, their labels; how many were wrong, which is read
        (partial(training, count=1, augmentation=problems.STRATEGY), 3, 0),  # images, labels, augmentations
        (partial(training, count=3, augmentation=problems.STRATEGY), 3, 0),
        (partial(training, count=3, augmentation="none"), 2, 0),
        # Each family has images of its own: where they are, and its numbers.
        (partial(training, count=1, augmentation="dc_crop_scale_rotate_noise"), 10, 0),
    ],
)
def test_a_step_copies_and_waits_no_more_than_it_must(
    accelerator: Device, loop: Callable[[Device], Callable[[int], object]], copies: int, waits: int
) -> None:
    step = loop(accelerator)
    step(0)
    for number in range(1, 5):
        with pretended.counted() as counts:
            step(number)
        assert sum(counts.copies.values()) <= copies, counts.copies
        assert sum(counts.waits.values()) <= waits, counts.waits
