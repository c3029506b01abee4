"""DM: loss and gradient against a plain version; progress, shards, memory and resuming."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import methods, networks, streams
from condensery.augmentation import siamese
from condensery.machine.device import Device
from condensery.methods.dm import Matcher
from condensery.progress import Progress
from condensery.run import Checkpoint, Run
from tests import problems

DM = methods.get("dm")


def plain_step(problem, images, step):
    """One step of DM Algorithm 1, one class after the other; returns the loss at ``images``."""
    info = problem.data.info
    net = networks.build(problem.network, channels=info.channels, size=(info.height, info.width), classes=3)
    networks.initialize(net, streams.generator(problem.seed, "network", step))
    net.train()
    real, synthetic = [], []
    for i, c in enumerate(problem.classes):
        draw = siamese.draw(
            problem.augmentation, 1, images.shape[-2:], streams.generator(problem.seed, "siamese", step, c)
        )
        pool = problem.data.train.indices_of(c)
        order = torch.randperm(len(pool), generator=streams.generator(problem.seed, "real", step, c))
        rows = pool[order[: problem.parameters["batch_real"]].numpy()]
        real.append(siamese.apply(problem.data.train.batch(rows, torch.device("cpu")), draw))
        own = images[i * problem.ipc : (i + 1) * problem.ipc]
        synthetic.append(siamese.apply(own, draw))
    if problem.network.endswith("bn"):  # statistics of all classes together (DM section 3.3)
        sizes = [len(part) for part in real], [len(part) for part in synthetic]
        pairs = zip(
            *(net.embed(torch.cat(x)).split(n) for x, n in zip((real, synthetic), sizes, strict=True)),
            strict=True,
        )
    else:
        pairs = ((net.embed(r), net.embed(s)) for r, s in zip(real, synthetic, strict=True))
    return sum((r.detach().mean(0) - s.mean(0)).square().sum() for r, s in pairs)


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d2-w16-bn"])
@pytest.mark.parametrize("memory_bytes", [10**9, 1], ids=["one batch", "class by class"])
def test_gradient_is_that_of_a_plain_version(network, memory_bytes):
    device = dataclasses.replace(problems.CPU, memory_bytes=memory_bytes)
    problem = problems.problem(network=network, device=device)
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    matcher = Matcher(problem)
    for step in (0, 3):
        gradient, losses = matcher.gradient(images.detach(), step)
        expected = plain_step(problem, images, step)
        (expected_gradient,) = torch.autograd.grad(expected, images)
        torch.testing.assert_close(losses.sum(), expected.detach(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-5)


def test_pixels_follow_sgd_with_momentum():
    problem = problems.problem(parameters={"iterations": 3, "lr_img": 0.7, "momentum": 0.3})
    images = torch.nn.Parameter(methods.get("random").condense(problem).images.clone())
    optimizer = torch.optim.SGD([images], lr=0.7, momentum=0.3)
    for step in range(3):
        optimizer.zero_grad()
        plain_step(problem, images, step).backward()
        optimizer.step()
    torch.testing.assert_close(DM.condense(problem).images, images.detach(), rtol=1e-3, atol=1e-4)


def test_progress_shows_the_steps_done_and_their_loss():
    class Shown(Progress):
        def step(self, done, **values):
            shown[done] = values

    shown = {}
    problem = problems.problem(parameters={"iterations": 25})
    DM.condense(problem, run=Run(progress=Shown("dm", 25, "iterations")))
    assert list(shown) == [10, 20]
    assert all(values["loss"] > 0 for values in shown.values())


def test_condensing_brings_the_means_closer():
    problem = problems.problem(parameters={"iterations": 40, "batch_real": 20})
    before = methods.get("random").condense(problem)
    after = DM.condense(problem)
    unseen = [
        Matcher(problem).gradient(s.images, step=1000 + i)[1].sum() for s in (before, after) for i in range(5)
    ]
    assert sum(unseen[5:]) < 0.8 * sum(unseen[:5])


@pytest.mark.parametrize("name", ["random", "dm"])
def test_condensing_by_class_equals_condensing_all_classes(name):
    method, case = methods.get(name), problems.problem()
    whole, gathered = method.condense(case), problems.in_shards(method, case)
    assert torch.equal(gathered.labels, whole.labels)
    torch.testing.assert_close(gathered.images, whole.images, rtol=0, atol=1e-5)


class Counting(Device):
    """A device that records the number of images of each pass through a network."""

    def compiled(self, function, work):
        def counting(images):
            passes.append(len(images))
            return function(images)

        passes = self.__dict__.setdefault("passes", [])
        return counting


def test_images_in_flight_do_not_grow_with_the_classes():
    # A budget of 50 images: 6 classes of 8 real images go through the network together.
    floats = networks.activations(problems.problem().new_network(), 3, (16, 16))
    seen = {}
    for classes in (6, 12, 40):
        problem = problems.problem(
            problems.real_data(classes),
            device=Counting(torch.device("cpu"), "fp32", compile=False, memory_bytes=50 * 4 * floats),
        )
        DM.condense(problem)
        seen[classes] = problem.device.passes
        assert sum(seen[classes]) == 4 * classes * (8 + 2)  # 4 iterations
    assert {max(passes) for passes in seen.values()} == {6 * 8}


def test_noise_is_standard_normal():
    problem = problems.problem(
        ipc=40, parameters={"iterations": 0, "init": "noise"}, data=problems.real_data(per_class=60)
    )
    images = DM.condense(problem).images
    assert abs(images.mean()) < 0.01
    assert abs(images.std() - 1) < 0.01


RUN = """
import sys
from pathlib import Path
from condensery import methods
from condensery.run import Checkpoint
from condensery.run import Run
from tests import problems
class Talkative(Checkpoint):
    def save(self, step, state):
        super().save(step, state)
        print(step, flush=True)
problem = problems.problem(parameters={"iterations": 30})
checkpoint = Talkative(Path(sys.argv[1]), "test", every_seconds=0)
methods.get("dm").condense(problem, run=Run(checkpoint)).save(Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", [3, 17])
def test_a_killed_run_ends_in_the_same_bytes(tmp_path: Path, kill_after: int):
    undisturbed = DM.condense(problems.problem(parameters={"iterations": 30}))
    undisturbed.save(tmp_path / "undisturbed.safetensors")
    command = [sys.executable, "-c", RUN, str(tmp_path / "state"), str(tmp_path / "resumed.safetensors")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as victim:
        while int(victim.stdout.readline()) < kill_after:
            pass
        victim.send_signal(signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL
    assert not (tmp_path / "resumed.safetensors").exists()
    step, _ = Checkpoint(tmp_path / "state", "test").load()
    assert kill_after <= step < 30
    again = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert int(again.stdout.split()[0]) == step + 1  # it resumed after the kill
    assert (tmp_path / "resumed.safetensors").read_bytes() == (
        tmp_path / "undisturbed.safetensors"
    ).read_bytes()


def test_matching_gradients_of_a_uniform_classifier_is_matching_means_times_a_constant():
    """DM appendix D: where p = 1/C, the last layer has the mean gradient (1/C - 1[j = c]) mean(features)."""
    generator = torch.Generator().manual_seed(0)
    classes, c = 5, 2
    net = networks.build("convnet-d2-w16", channels=3, size=(16, 16), classes=classes)
    networks.initialize(net, generator)
    net.classifier.weight.data.zero_()
    net.classifier.bias.data.zero_()
    gradients, means = [], []
    for count in (12, 3):
        images = torch.randn(count, 3, 16, 16, generator=generator)
        loss = F.cross_entropy(net(images), torch.full((count,), c))
        gradients.append(torch.autograd.grad(loss, net.classifier.weight)[0])
        means.append(net.embed(images).mean(0).detach())
    constant = (classes - 1) * (1 / classes) ** 2 + (1 / classes - 1) ** 2
    matched = (gradients[0] - gradients[1]).square().sum()
    torch.testing.assert_close(matched, constant * (means[0] - means[1]).square().sum())
