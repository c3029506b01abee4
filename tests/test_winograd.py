"""Convolutions with fewer products, against those of PyTorch in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from condensery import networks
from condensery.machine import winograd
from condensery.machine.device import choose

pytestmark = pytest.mark.skipif(not winograd.available(), reason="no C++ compiler")

# Images, input and output channels, height, width: one tile; not square; more tiles than one block.
SHAPES = [(1, 16, 16, 4, 4), (3, 16, 48, 8, 12), (7, 32, 16, 16, 20)]


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def close(found: Tensor, exact: Tensor) -> None:
    """Check that two arrays differ by rounding alone, 1e-7 per step, in hundreds of steps."""
    assert found.shape == exact.shape
    assert (found - exact).abs().max() < 3e-5 * exact.abs().max()


@pytest.mark.parametrize("weights", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(shape: tuple[int, ...], weights: torch.memory_format) -> None:
    count, into, out, *size = shape
    images, bias = normal(count, into, *size), normal(out)
    weight = normal(out, into, 3, 3).contiguous(memory_format=weights)
    exact = F.conv2d(images.double(), weight.double(), bias.double(), padding=1)
    close(torch.ops.condensery.convolve(images, weight, bias, False), exact)


@pytest.mark.parametrize("weights", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", SHAPES)
def test_transposed_convolution(shape: tuple[int, ...], weights: torch.memory_format) -> None:
    count, into, out, *size = shape
    images, weight = normal(count, into, *size), normal(into, out, 3, 3).contiguous(memory_format=weights)
    exact = F.conv_transpose2d(images.double(), weight.double(), padding=1)
    close(torch.ops.condensery.convolve(images, weight, None, True), exact)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_of_the_weight(shape: tuple[int, ...]) -> None:
    count, into, out, *size = shape
    images, gradient = normal(count, into, *size), normal(count, out, *size)
    weight = torch.zeros(out, into, 3, 3, dtype=torch.double, requires_grad=True)
    result = F.conv2d(images.double(), weight, padding=1)
    (exact,) = torch.autograd.grad(result, weight, gradient.double())
    close(torch.ops.condensery.correlate(images, gradient), exact)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads: int) -> None:
    images, weight, before = normal(5, 16, 8, 8), normal(16, 16, 3, 3), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        exact = F.conv2d(images.double(), weight.double(), padding=1)
        close(torch.ops.condensery.convolve(images, weight, None, False), exact)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("images", "channels"),
    [
        (torch.empty(2, 16, 10, 8), 16),  # no whole tiles
        (torch.empty(2, 3, 8, 8), 16),  # a part of a panel of channels
        (torch.empty(2, 16, 8, 8), 10),
        (torch.empty(2, 16, 8, 8, dtype=torch.bfloat16), 16),
        (torch.empty(2, 16, 8, 8, device="meta"), 16),
    ],
)
def test_what_is_not_served(images: Tensor, channels: int) -> None:
    assert not winograd.serves(images, channels)


@pytest.mark.slow
def test_the_compiler_uses_it() -> None:
    network = networks.build("convnet-d2-w16", channels=3, size=(16, 16), classes=3)
    fast = choose("cpu", "fp32", compile=True).compiled(network, float("inf"))
    images, labels = normal(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
    fast(images).sum().backward()  # compiles
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        found = torch.autograd.grad(F.cross_entropy(fast(images), labels), list(network.parameters()))
    calls = {event.key: event.count for event in profiler.key_averages()}
    # One of two convolutions has enough channels: its output, and its gradients of images and weight.
    assert (calls["condensery::convolve"], calls["condensery::correlate"]) == (2, 1)
    exact = torch.autograd.grad(F.cross_entropy(network(images), labels), list(network.parameters()))
    for ours, plain in zip(found, exact, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
