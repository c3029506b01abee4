"""The work of a step: counted floating-point operations, and a lower bound of the bytes moved.

Operations are those of convolutions and matrix products; a multiply-add counts as two. Normalization, pooling
and augmentation are left out.

Bytes are those that no program for these layers can avoid. The maps that count are the inputs and outputs of
convolutions and linear layers: everything between them might be fused, and batches might be any size. A
forward pass writes each map once and reads it once. A backward pass writes and reads the gradient of each map
and reads the map again. Differentiating both passes a second time does all of this once more. Weights are
read once per pass, and the pixels of real images once, one byte each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from condensery import networks
from condensery.machine.device import Device
from condensery.networks import Network
from harness import loops
from harness.case import TEST_IMAGES, Case
from harness.loops import Step

# Number of times that a map is moved.
FORWARD, BACKWARD = 2, 3
_MATCHED_ONCE = FORWARD + BACKWARD
_MATCHED_TWICE = 2 * _MATCHED_ONCE


@dataclass(frozen=True)
class Work:
    """Floating-point operations and bytes of one step."""

    operations: float
    bytes: float


def of_step(case: Case, part: Step) -> Work:
    """Return the work of one step.

    Args:
        case: the case.
        part: one of the step's equal parts, uncompiled.
    """
    with FlopCounterMode(display=False) as counter:
        part(0)
    return Work(counter.get_total_flops() * loops.parts(case), least_bytes(case))


def least_bytes(case: Case) -> float:
    """Return the least number of bytes that a step moves."""
    network = networks.build(
        case.network, channels=case.channels, size=(case.size, case.size), classes=case.classes
    )
    of_number = 2 if case.precision == "bf16" else 4
    maps = of_number * map_numbers(network, case.channels, case.size)
    weights = 4 * sum(parameter.numel() for parameter in network.parameters())
    pixels = case.channels * case.size**2
    synthetic, real = case.classes * case.ipc, case.classes * case.batch_real
    if case.loop == "dm":
        return real * (pixels + FORWARD * maps) + synthetic * _MATCHED_ONCE * maps + 3 * weights
    if case.loop == "dsa-pixels":
        return real * (pixels + _MATCHED_ONCE * maps) + synthetic * _MATCHED_TWICE * maps + 6 * weights
    if case.study == "methods":  # what these do with synthetic images differs: the real ones alone
        return real * (pixels + FORWARD * maps)
    if case.loop == "testing":
        return case.networks * (TEST_IMAGES * (pixels + FORWARD * maps) + weights)
    # Training reads the weights in both passes, and the update reads and writes them.
    return case.networks * (synthetic * _MATCHED_ONCE * maps + 4 * weights)


def map_numbers(network: Network, channels: int, size: int) -> int:
    """Return the number of values in the inputs and outputs of an image's convolutions and linear layers."""
    count = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal count
        count += inputs[0].numel() + output.numel()

    trial = network.to("meta").eval()
    for module in trial.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    trial(torch.empty(1, channels, size, size, device="meta"))
    return count


def uncompiled(device: Device) -> Device:
    """Return the same device without compilation, since operations in a compiled graph are not counted."""
    return replace(device, compile=False)
