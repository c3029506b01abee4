"""M3D: properties of the discrepancy, DM as a special case, pixels from 0 to 1, shards, a resumed run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from condensery import methods
from condensery.experiment import load_config
from condensery.kernels import linear, mmd_squared
from condensery.methods import dm, m3d
from condensery.methods.m3d import gaussian
from condensery.methods.pixels import UnitPixels
from tests import problems
from tests.interrupted import check_resumes

CONFIG = Path(__file__).parents[1] / "config"
METHOD = methods.get("m3d")
OWN = {"kernel": "gaussian", "network_steps": 5, "strategy": "color+crop+cutout", "formation": 2}
STEPPING = {"lr_img": 0.02, "momentum": 0.0}


def problem(**changes):
    parameters = OWN | STEPPING | changes.pop("parameters", {})
    return problems.problem(**changes, parameters=parameters)


def features(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def discrepancy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return mmd_squared(gaussian(torch.cat([x, y])), x, y)


# ---- the kernel


def test_discrepancy_is_the_sum_of_five_kernels_over_all_pairs():
    x, y = features(3, 0), features(5, 1) + 1
    both = torch.cat([x, y])
    squares = torch.stack([(a - b).square().sum() for a in both for b in both]).view(8, 8)
    mean = squares.sum() / (8 * 7)
    k = sum((-squares / (mean * factor)).exp() for factor in (0.25, 0.5, 1, 2, 4))
    expected = k[:3, :3].mean() - 2 * k[:3, 3:].mean() + k[3:, 3:].mean()
    torch.testing.assert_close(discrepancy(x, y), expected, rtol=1e-10, atol=1e-12)


def test_discrepancy_of_equal_sets_is_zero_and_of_others_between_0_and_10():
    x, y = features(4, 0), features(6, 1)
    torch.testing.assert_close(discrepancy(x, x), torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-12)
    for other in (y, y + 3, 100 * y):
        assert 0 < discrepancy(x, other) <= 10


def test_discrepancy_changes_neither_with_a_shift_nor_with_the_scale_of_all_features():
    x, y = features(4, 0), features(6, 1)
    for changed in ((x + 2, y + 2), (7 * x, 7 * y)):
        torch.testing.assert_close(discrepancy(*changed), discrepancy(x, y), rtol=1e-9, atol=1e-12)


def test_repeating_the_images_of_a_set_changes_nothing_but_the_width():
    """So neither the formation nor the number of images per class biases the loss."""
    x, y = features(4, 0), features(6, 1)
    kernel = gaussian(torch.cat([x, y]))
    torch.testing.assert_close(mmd_squared(kernel, torch.cat([x, x]), y), mmd_squared(kernel, x, y))


def test_gradient_is_the_slope_at_a_fixed_width():
    x, y = features(4, 0), features(6, 1)
    kernel = gaussian(torch.cat([x, y]))
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(discrepancy(leaf, y), leaf)
    direction = features(4, 2)
    high, low = (mmd_squared(kernel, x + h * direction, y) for h in (1e-6, -1e-6))
    torch.testing.assert_close((gradient * direction).sum(), (high - low) / 2e-6, rtol=1e-6, atol=1e-10)
    order = torch.tensor([2, 0, 3, 1])
    moved = x[order].requires_grad_()
    (other,) = torch.autograd.grad(discrepancy(moved, y), moved)
    torch.testing.assert_close(other, gradient[order])


def test_the_linear_kernel_is_dms_loss():
    x, y = features(4, 0), features(6, 1)
    expected = (x.mean(0) - y.mean(0)).square().sum()
    torch.testing.assert_close(mmd_squared(linear, x, y), expected, rtol=1e-10, atol=1e-12)


# ---- the loss of a step

IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("memory_bytes", [10**9, 1], ids=["one batch", "class by class"])
def test_with_the_linear_kernel_and_whole_images_a_step_is_dms(memory_bytes):
    device = dataclasses.replace(problems.CPU, memory_bytes=memory_bytes)
    case = problem(device=device, parameters={"kernel": "linear", "formation": 1})
    gradient, loss = m3d.Matcher(case).gradient(IMAGES, 3)
    expected, of_dm = dm.Matcher(case).gradient(IMAGES, 3)
    torch.testing.assert_close(loss, of_dm, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-4)


def test_the_network_sees_the_enlarged_parts_of_each_class():
    case = problem(augmentation="none")
    matcher, seen = m3d.Matcher(case), []
    embed = matcher._embed
    matcher._embed = lambda images: seen.append(images.detach()) or embed(images)
    gradient, _ = matcher.gradient(IMAGES, 0)
    real, shown = seen
    assert (len(real), len(shown)) == (3 * 8, 3 * 2 * 4)
    for i, part in enumerate(IMAGES.split(2)):
        quarter = torch.nn.functional.interpolate(
            part[:, :, :8, 8:], (16, 16), mode="bilinear", align_corners=False
        )
        assert torch.equal(shown[8 * i + 2 : 8 * i + 4], quarter)
    assert gradient.shape == IMAGES.shape


def test_a_network_lasts_for_some_steps():
    matcher = METHOD.matcher(problem())
    weights = []
    for step in (0, 4, 5):
        matcher.gradient(IMAGES, step)
        weights.append([parameter.clone() for parameter in matcher._network.parameters()])
    same = [all(map(torch.equal, weights[0], other)) for other in weights[1:]]
    assert same == [True, False]


@pytest.mark.parametrize(
    ("name", "changes"),
    {"m3d": {}, "m3d-linear": {"kernel": "linear"}, "m3d-whole": {"formation": 1}}.items(),
)
@pytest.mark.parametrize("ipc", [1, 50])
def test_parameters_are_those_of_the_public_code_at_twice_its_rate_without_momentum(name, changes, ipc):
    """Its rate is the number of images per class, which the pixels multiply with."""
    common = {"iterations": 10000, "lr_img": 2.0, "momentum": 0.0, "batch_real": 128, "init": "real"}
    expected = common | OWN | changes
    assert load_config(CONFIG, "paper").parameters("cifar10", name, "convnet", ipc) == expected


# ---- pixels from 0 to 1


def test_unit_pixels_are_those_of_sgd_on_unit_images():
    case = problem(parameters={"iterations": 3, "momentum": 0.5, "lr_img": 0.05, "formation": 1})
    pixels = UnitPixels(case)
    start = methods.get("random").condense(case).unit_images()
    images = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([images], lr=0.05 * case.ipc, momentum=0.5)
    target = torch.randn(start.shape, generator=torch.Generator().manual_seed(1))
    for _ in pixels.iterations():
        pixels.step(2 * (pixels.images - target))  # the gradient of |x - target|^2
        with torch.no_grad():
            images.clamp_(0, 1)
        optimizer.zero_grad()
        ((images - 0.5) / 0.25 - target).square().sum().backward()
        optimizer.step()
    assert not (images.min() >= 0 and images.max() <= 1)  # the last step is not cut off
    torch.testing.assert_close(pixels.images, (images.detach() - 0.5) / 0.25, rtol=1e-4, atol=1e-4)


# ---- whole runs


def test_a_set_holds_parts_and_begins_with_small_real_images():
    case = problem(parameters={"iterations": 0})
    condensed = METHOD.condense(case)
    assert condensed.formation == 2
    assert condensed.images.shape == (6, 3, 16, 16)
    random = methods.get("random").condense(case)
    assert torch.equal(condensed.images, random.images)
    whole = case.data.train.batch(case.random_images(0), torch.device("cpu"))
    small = torch.nn.functional.avg_pool2d(whole, 2)
    torch.testing.assert_close(condensed.images[0, :, :8, :8], small[0])


def test_condensing_brings_the_distributions_closer():
    case = problem(parameters={"iterations": 40, "batch_real": 20, "lr_img": 0.05})
    before, after = methods.get("random").condense(case).images, METHOD.condense(case).images
    losses = [
        METHOD.matcher(case).gradient(images, 1000 + 5 * i)[1].sum()
        for images in (before, after)
        for i in range(4)
    ]
    assert sum(losses[4:]) < 0.9 * sum(losses[:4])


def test_condensing_by_class_equals_condensing_all_classes():
    whole, gathered = METHOD.condense(problem()), problems.in_shards(METHOD, problem())
    assert gathered.formation == 2
    torch.testing.assert_close(gathered.images, whole.images, rtol=0, atol=1e-5)


def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path):
    case = problem(parameters={"iterations": 7, "network_steps": 5})
    check_resumes(METHOD, case, tmp_path, 3)
