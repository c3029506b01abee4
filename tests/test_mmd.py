"""Matching in pixel space: loss and gradient against the plain discrepancy, and complete runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from condensery import methods, streams
from condensery.experiment import load_config
from condensery.methods.mmd import Matcher
from condensery.progress import Progress
from condensery.run import Checkpoint, Run
from tests import problems
from tests.reference import kernels as reference

CONFIG = Path(__file__).parent.parent / "config"
MMD = methods.get("mmd")
PARAMETERS = {"kernel": "linear", "degree": 2, "width": 1.0}


def problem(**changes):
    """Return a small problem with some parameters changed."""
    return problems.problem(
        problems.real_data(size=8),
        parameters=PARAMETERS | changes.pop("parameters", {}),
        **changes,
    )


def batch(asked, c: int, purpose: str, *address: int) -> torch.Tensor:
    stream = streams.generator(asked.seed, purpose, *address, c)
    rows = asked.random_batch(c, asked.parameters["batch_real"], stream)
    return asked.data.train.batch(rows, torch.device("cpu")).flatten(1).double()


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "rbf", "laplacian"])
def test_gradient_is_that_of_the_plain_discrepancy(kernel: str) -> None:
    asked = problem(parameters={"kernel": kernel, "width": 0.5, "batch_real": 5})
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    gradient, loss = Matcher(asked).gradient(images, 3)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).double()
    total, slope, step = 0.0, 0.0, 1e-6
    for c in asked.classes:
        real = batch(asked, c, "real", 3).numpy()
        distances = torch.cdist(
            measured := batch(asked, c, "kernel-width"), measured, p=2 - (kernel == "laplacian")
        )
        setting = 2 if kernel == "polynomial" else 0.5 * distances.sum().item() / (5 * 4)
        own = images[2 * c : 2 * c + 2].double().flatten(1)
        along = direction[2 * c : 2 * c + 2].flatten(1)
        at = [
            reference.mmd_squared(kernel, real, (own + move * along).numpy(), setting)
            for move in (-step, 0, step)
        ]
        alone = [[reference.value(kernel, p, q, setting) for q in real] for p in real]
        total += at[1] - sum(map(sum, alone)) / 25
        slope += (at[2] - at[0]) / (2 * step)
    assert loss.item() == pytest.approx(total, rel=1e-3)
    assert (gradient.double() * direction).sum().item() == pytest.approx(slope, rel=2e-3)


def test_linear_matching_moves_the_mean_and_nothing_else() -> None:
    asked = problem(parameters={"iterations": 60, "batch_real": 20, "lr_img": 0.3})
    before, after = methods.get("random").condense(asked), MMD.condense(asked)
    for c in asked.classes:
        mine = after.labels == c
        shift = after.images[mine] - before.images[mine]
        torch.testing.assert_close(shift[0], shift[1], rtol=0, atol=1e-4)
        pool = asked.data.train.indices_of(c)
        mean = asked.data.train.batch(pool, torch.device("cpu")).mean(0)
        torch.testing.assert_close(after.images[mine].mean(0), mean, rtol=0, atol=0.1)
        assert not torch.allclose(before.images[mine].mean(0), mean, atol=0.1)


def test_whole_classes_give_the_mean_images() -> None:
    parameters = load_config(CONFIG, "paper").parameters("cifar10", "mmd-whole-class", "convnet", 1)
    asked = problem(parameters=parameters, ipc=1)
    made = MMD.condense(asked)
    for image, c in zip(made.images, asked.classes, strict=True):
        everything = asked.data.train.batch(asked.data.train.indices_of(c), torch.device("cpu"))
        torch.testing.assert_close(image, everything.mean(0), rtol=0, atol=1e-5)


def test_progress_shows_the_steps_done_and_their_loss() -> None:
    class Shown(Progress):
        def step(self, done: int, **values: float) -> None:
            shown[done] = values

    shown: dict[int, dict[str, float]] = {}
    asked = problem(parameters={"iterations": 25})
    MMD.condense(asked, run=Run(progress=Shown("mmd", 25, "iterations")))
    assert list(shown) == [10, 20]
    assert all(values.keys() == {"loss"} for values in shown.values())


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_classes_alone_and_a_resumed_run_are_the_whole(kernel: str, tmp_path) -> None:
    asked = problem(parameters={"kernel": kernel, "iterations": 6})
    whole = MMD.condense(asked)
    torch.testing.assert_close(problems.in_shards(MMD, asked).images, whole.images, rtol=0, atol=1e-5)
    state = Checkpoint(tmp_path / "state", "test", every_seconds=0)
    MMD.condense(problem(parameters={"kernel": kernel, "iterations": 3}), run=Run(state))
    assert torch.equal(MMD.condense(asked, run=Run(state)).images, whole.images)
