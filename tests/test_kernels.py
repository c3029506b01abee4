"""Kernels and the maximum mean discrepancy: the formulas, and general properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condensery import kernels
from tests.reference import kernels as reference

# name -> (kernel, the setting of the plain version)
KERNELS = {
    "linear": (kernels.linear, 0),
    "polynomial": (kernels.polynomial(3), 3),
    "rbf": (kernels.rbf(1.7), 1.7),
    "laplacian": (kernels.laplacian(4.0), 4.0),
}


def images(count: int, seed: int, dimensions: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimensions, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_and_discrepancy_are_those_of_the_formulas(name: str) -> None:
    kernel, setting = KERNELS[name]
    x, y = images(4, 0), images(3, 1) + 0.5
    values = [[reference.value(name, p, q, setting) for q in y.numpy()] for p in x.numpy()]
    np.testing.assert_allclose(kernel(x, y), values, rtol=1e-10)
    expected = reference.mmd_squared(name, x.numpy(), y.numpy(), setting)
    assert kernels.mmd_squared(kernel, x, y).item() == pytest.approx(expected, rel=1e-9)
    together = kernels.mmd_squared(kernel, torch.stack([x[:3], y]), torch.stack([y, y]))
    assert together[0].item() == pytest.approx(kernels.mmd_squared(kernel, x[:3], y).item())
    assert together[1].item() == pytest.approx(0, abs=1e-9)


def test_a_mixture_is_the_sum_of_its_kernels() -> None:
    x, y = images(4, 0), images(3, 1)
    widths = (0.5, 1.0, 3.0)
    expected = sum(kernels.rbf(width)(x, y) / width**2 for width in widths)
    torch.testing.assert_close(kernels.mixture(widths)(x, y), expected)


@given(st.sampled_from([*KERNELS, "mixture"]), st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_the_biased_estimate_is_never_negative(name: str, n: int, m: int, seed: int) -> None:
    kernel = kernels.mixture((0.3, 3.0)) if name == "mixture" else KERNELS[name][0]
    x, y = images(n, seed), images(m, seed + 1)
    assert kernels.mmd_squared(kernel, x, y) >= -1e-9
    # Repeating every image of a set does not change its distribution.
    assert kernels.mmd_squared(kernel, x, torch.cat([x, x])) == pytest.approx(0, abs=1e-9)


def test_the_linear_discrepancy_is_the_distance_of_the_means() -> None:
    """So is its gradient: DM equation 6 with the identity as embedding."""
    real, synthetic = images(7, 0), images(3, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(kernels.mmd_squared(kernels.linear, real, synthetic), synthetic)
    (expected,) = torch.autograd.grad((real.mean(0) - synthetic.mean(0)).square().sum(), synthetic)
    torch.testing.assert_close(gradient, expected)


def test_wide_kernels_have_the_slope_of_the_linear_one() -> None:
    real, synthetic = images(7, 0), images(3, 1).requires_grad_()
    slopes = [
        torch.autograd.grad(kernels.mmd_squared(kernel, real, synthetic), synthetic)[0]
        for kernel in (kernels.linear, kernels.rbf(1000.0))
    ]
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-4)


def test_the_mean_distance_leaves_out_images_with_themselves() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert kernels.mean_distance(x, 2).item() == pytest.approx(10 / 3)
    assert kernels.mean_distance(x, 1).item() == pytest.approx(14 / 3)
