"""Whether compiling pays: the seconds that it takes against those that it saves in the steps to come."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

SECONDS = 10.0
"""Of a core, to compile the passes of a network forward and backward, where the compiler's cache has none."""

SAVED_BY_A_CORE = 2e-9
"""Seconds of a core that compilation saves for each activation: see benchmarks/README.md."""

# The maps that an accelerator is measured with: those of 64 images in the first block of a ConvNet.
_MAPS = (64, 128, 32, 32)
_TIMES = 10


def pays(device: torch.device, work: float) -> bool:
    """Say whether a compiled network saves more time than its compilation takes.

    Args:
        device: where it runs.
        work: the number of images that it will process, times the activations of one image.
    """
    return work * seconds_saved(device) >= SECONDS


def seconds_saved(device: torch.device) -> float:
    """Return the seconds that compilation saves for each activation.

    Of a CPU they are stated, and shared by the threads of this process: whether a network is compiled changes
    its numbers by rounding, and they are to be the same in every run. An accelerator, of which one may be a
    hundred times as fast as another, is measured, once in a process.
    """
    if device.type == "cpu":
        return SAVED_BY_A_CORE / torch.get_num_threads()
    return _measured(device)


@cache
def _measured(device: torch.device) -> float:
    """Measure how much longer normalization, activation and pooling take than one pass over their maps.

    That is what the compiler makes of them: forward it reads and writes the maps, backward it reads them and
    the gradient, and writes the gradient.
    """
    channels = _MAPS[1]
    maps = torch.ones(_MAPS, device=device, requires_grad=True)
    gradient = torch.ones(*_MAPS[:2], *(side // 2 for side in _MAPS[2:]), device=device)
    scale = torch.ones(channels, device=device)

    def passes() -> tuple[Tensor, ...]:
        normalized = F.group_norm(maps, channels, scale, scale)
        return torch.autograd.grad(F.avg_pool2d(F.relu(normalized), 2), maps, gradient)

    # The maps before and after the normalization, after the activation, and a quarter of them.
    activations = 3.25 * maps.numel()
    pass_over = _seconds(device, maps.detach().clone)
    return max(0.0, _seconds(device, passes) - 2.5 * pass_over) / activations


def _seconds(device: torch.device, function: Callable[[], object]) -> float:
    """Return the mean time of several calls that follow each other, after one that does not count."""
    module = torch.get_device_module(device)
    function()
    module.synchronize(device)
    started = time.perf_counter()
    for _ in range(_TIMES):
        function()
    module.synchronize(device)
    return (time.perf_counter() - started) / _TIMES
