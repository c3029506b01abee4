"""Compiled and uncompiled float32 code give the same result over 20 steps of each hot loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from condensery import methods
from condensery.machine import compiling, device
from condensery.machine.device import Device
from condensery.training.loop import train
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks
from tests import problems
from tests.test_gradient_matching import problem as matching_problem

STEPS = 20
FAST = replace(problems.CPU, compile=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not device.choose("cpu").compile, reason="no C++ compiler"),
]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch):
    """Compile functions of any size, after a reset of the compiler."""
    monkeypatch.setattr(compiling, "SECONDS", 0)
    torch.compiler.reset()


def agree(result: Callable[[Device], Tensor]) -> None:
    """Check that both end in the same tensor, to a few hundred units in the last place of float32.

    Each function is compiled as a whole: Python runs nothing between its operations.
    """
    counters.clear()
    plain, fast = result(problems.CPU), result(FAST)
    assert counters["stats"]["unique_graphs"]
    assert not counters["graph_break"]
    assert plain.isfinite().all()
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)


def test_dm() -> None:
    def images(device: Device) -> Tensor:
        case = problems.problem(device=device, parameters={"iterations": STEPS})
        return methods.get("dm").condense(case).images

    agree(images)


def test_gradient_matching() -> None:
    def images(device: Device) -> Tensor:
        case = matching_problem(device=device, parameters={"iterations": 4, "outer_loop": 5, "inner_loop": 1})
        return methods.get("dc").condense(case).images

    agree(images)


@pytest.mark.parametrize("networks", [1, 3])
def test_training(networks: int) -> None:
    def weights(device: Device) -> Tensor:
        data = problems.real_data()
        samples = Samples.of_split(data.train, device)
        recipe = Recipe("dsa", STEPS - 1, 0.01, 0.9, 5e-4, len(samples), problems.STRATEGY)
        stacked = StackedNetworks("convnet-d2-w16", data.info, range(networks), device, images=1)
        train(stacked, samples, recipe)
        return torch.cat([parameter.detach().flatten() for parameter in stacked.parameters.values()])

    agree(weights)
