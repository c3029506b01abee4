"""Groups of networks that are trained as one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from condensery import networks
from condensery.training import stacking
from tests import problems

INFO = problems.real_data().info
GPU = dataclasses.replace(problems.CPU, torch_device=torch.device("cuda"))


def bytes_of(count: int) -> int:
    """Return the bytes of the float32 activations of ``count`` networks on 8 images each."""
    size = (INFO.height, INFO.width)
    net = networks.build("mlp", channels=INFO.channels, size=size, classes=len(INFO.classes))
    kept = []
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, inputs, output: kept.append(output.numel()))
    net(torch.zeros(1, INFO.channels, *size))
    return 4 * count * 8 * sum(kept)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (bytes_of(5), [(3, 4, 5, 6, 7)]),
        (bytes_of(5) - 1, [(3, 4, 5, 6), (7,)]),
        (bytes_of(2), [(3, 4), (5, 6), (7,)]),
        (1, [(3,), (4,), (5,), (6,), (7,)]),
    ],
)
def test_as_many_are_stacked_as_fit_the_memory(budget: int, expected: list[tuple[int, ...]]) -> None:
    device = dataclasses.replace(GPU, memory_bytes=budget)
    assert stacking.groups("mlp", INFO, 8, range(3, 8), device) == expected


def test_a_cpu_stacks_none() -> None:
    assert stacking.groups("mlp", INFO, 8, range(3), problems.CPU) == [(0,), (1,), (2,)]
