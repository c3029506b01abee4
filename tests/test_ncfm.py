"""NCFM: the distance of characteristic functions, equal to M3D's under one kernel, and its pixels."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import kernels, methods
from condensery.experiment import load_config
from condensery.kernels import mmd_squared
from condensery.methods import dm, ncfm
from condensery.methods.ncfm import characteristic, discrepancy
from condensery.methods.pixels import FallingPixels
from condensery.run import UNATTENDED
from tests import problems
from tests.interrupted import check_resumes

CONFIG = Path(__file__).parents[1] / "config"
METHOD = methods.get("ncfm")
OWN = {
    **{"strategy": "color+crop+cutout", "formation": 2, "lr_img": 0.01, "momentum": 0.0},
    **{"frequencies": 64, "amplitude": 0.5, "real": "random"},
    **{"optimizer": "adamw", "weight_decay": 0.0005, "patience": 3},
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return problems.pairs_file(tmp_path_factory.mktemp("pairs"), problems.real_data())


@pytest.fixture
def problem(pairs: Path):
    def build(**changes):
        parameters = OWN | changes.pop("parameters", {})
        return problems.problem(parameters=parameters, trained={"pairs": [pairs]}, **changes)

    return build


def features(count: int, seed: int, width: int = 9) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, Y, FREQUENCIES = features(6, 0), features(4, 1), features(50, 2)


def complex_means(x: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Return the mean of exp(i <t, z>) over unit vectors z, in complex arithmetic."""
    return torch.exp(1j * (frequencies @ F.normalize(x, dim=1).T)).mean(1)


# ---- the distance


def test_with_both_weights_1_it_is_the_distance_in_the_complex_plane():
    expected = (complex_means(X, FREQUENCIES) - complex_means(Y, FREQUENCIES)).abs()
    torch.testing.assert_close(discrepancy(X, Y, FREQUENCIES, 1, 1), expected.mean(), rtol=1e-12, atol=0)


def test_with_both_weights_one_half_it_is_that_distance_over_the_root_of_2():
    expected = (complex_means(X, FREQUENCIES) - complex_means(Y, FREQUENCIES)).abs().mean() / math.sqrt(2)
    torch.testing.assert_close(discrepancy(X, Y, FREQUENCIES, 0.5, 0.5), expected, rtol=1e-12, atol=0)
    assert discrepancy(X, Y, FREQUENCIES, 0.5, 0.5) <= math.sqrt(2)


def test_amplitude_alone_and_phase_alone_add_up_in_the_squares():
    one = FREQUENCIES[:1]
    parts = [discrepancy(X, Y, one, a, b).square() for a, b in ((1, 0), (0, 1), (1, 1))]
    torch.testing.assert_close(parts[0] + parts[1], parts[2], rtol=1e-12, atol=0)
    first, second = (complex_means(z, one).abs() for z in (X, Y))
    torch.testing.assert_close(parts[0], (first - second).square()[0], rtol=1e-9, atol=1e-12)


def test_of_equal_sets_only_the_root_of_the_least_phase_is_left():
    found = 300 * discrepancy(X, X, FREQUENCIES, 0.5, 0.5)
    torch.testing.assert_close(found.item(), 300 * math.sqrt(0.5e-12), rtol=1e-9, atol=0)


def test_characteristic_functions_are_at_most_1():
    real, imaginary = characteristic(F.normalize(X, dim=1), 10 * FREQUENCIES)
    assert (real.square() + imaginary.square()).max() <= 1 + 1e-12


def test_its_square_is_m3ds_discrepancy_under_one_kernel():
    """The expectation over normal frequencies of |p - q|^2: the kernel exp(-d^2 / 2) on unit features."""
    x, y = X[:, :4], Y[:, :4]
    t = features(200_000, 3, 4)
    found = (complex_means(x, t) - complex_means(y, t)).abs().square()
    expected = mmd_squared(kernels.mixture([1.0]), F.normalize(x, dim=1), F.normalize(y, dim=1))
    assert abs(found.mean() - expected) < 4 * found.std() / math.sqrt(len(t))
    assert found.std() / math.sqrt(len(t)) < 0.005 * expected


def test_turning_all_features_leaves_its_distribution():
    rotation = torch.linalg.qr(features(9, 4)).Q
    turned = discrepancy(X @ rotation, Y @ rotation, FREQUENCIES, 0.5, 0.5)
    same = discrepancy(X, Y, FREQUENCIES @ rotation.T, 0.5, 0.5)  # frequencies of the same probability
    torch.testing.assert_close(turned, same, rtol=1e-10, atol=0)


def test_gradient_is_the_slope_away_from_equal_sets():
    leaf, direction = Y.clone().requires_grad_(), features(4, 5)
    (gradient,) = torch.autograd.grad(discrepancy(X, leaf, FREQUENCIES, 0.3, 0.7), leaf)
    high, low = (discrepancy(X, Y + h * direction, FREQUENCIES, 0.3, 0.7) for h in (1e-6, -1e-6))
    torch.testing.assert_close((gradient * direction).sum(), (high - low) / 2e-6, rtol=1e-6, atol=1e-10)


# ---- the loss of a step


def test_loss_of_a_step_is_300_times_the_distance_at_new_frequencies(problem):
    matcher = METHOD.matchers(problem())[0]
    real, synthetic = [X[:, :8].float(), Y[:, :8].float()], torch.stack([features(8, 6), features(8, 7)])
    synthetic = synthetic[..., :8].float()
    seen = []
    for step in (0, 0, 1):
        losses = matcher.loss(real, synthetic, (0, 1), step)
        for own, of_real, found in zip(synthetic, real, losses, strict=True):
            expected = 300 * discrepancy(of_real, own, matcher._frequencies, 0.5, 0.5)
            torch.testing.assert_close(found, expected)
        seen.append(matcher._frequencies)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert seen[0].shape == (64, 8)


def test_the_first_images_of_a_class_are_seen_in_every_step(problem):
    case = problem(parameters={"real": "first"})
    fixed, drawn = ncfm.Matcher(case), ncfm.Matcher(problem())
    for c in case.classes:
        assert fixed.batch(c, 0).tolist() == fixed.batch(c, 7).tolist()
        assert fixed.batch(c, 0).tolist() == case.data.train.indices_of(c)[:8].tolist()
        assert drawn.batch(c, 0).tolist() != drawn.batch(c, 7).tolist()


@pytest.mark.parametrize("name", ["ncfm", "ncfm-first"])
@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "tinyimagenet"])
@pytest.mark.parametrize("ipc", [1, 10, 50])
def test_parameters_are_those_of_the_public_configurations(name, dataset, ipc):
    """Their SGD has a rate of 0.01 and momentum 0.5 for 10 images: 0.002 for one, twice as high without."""
    expected = {
        **{"iterations": 20000, "lr_img": 0.001, "momentum": 0.0, "batch_real": 1024, "init": "real"},
        **{"strategy": "color+crop+cutout", "formation": 2, "frequencies": 4096, "amplitude": 0.5},
        **{"optimizer": "adamw", "weight_decay": 0.0005, "patience": 500},
        "real": "first" if name == "ncfm-first" else "random",
    }
    if (dataset, ipc) == ("cifar100", 10):
        expected |= {"optimizer": "sgd", "lr_img": 0.002}
    assert load_config(CONFIG, "paper").parameters(dataset, name, "convnet", ipc) == expected


# ---- the pixels


def test_pixels_are_those_of_adamw_on_unit_images_class_by_class(problem):
    """The rate of a class halves when its loss has no new minimum for `patience` iterations."""
    case = problem(parameters={"iterations": 12, "formation": 1, "weight_decay": 0.1})
    pixels = FallingPixels(case)
    start = methods.get("random").condense(case).unit_images()
    parts = [torch.nn.Parameter(part.clone()) for part in start.split(case.ipc)]
    optimizers = [torch.optim.AdamW([part], lr=0.01, weight_decay=0.1) for part in parts]
    falling = [
        torch.optim.lr_scheduler.ReduceLROnPlateau(each, factor=0.5, patience=3) for each in optimizers
    ]
    target = torch.randn(start.shape, generator=torch.Generator().manual_seed(1))
    losses = torch.tensor([[1.0 / (i + 1), 1.0, abs(i - 4.0)] for i in range(12)])
    for i in pixels.iterations():
        with torch.no_grad():
            for part in parts:
                part.clamp_(0, 1)
        for _ in range(2):
            pixels.step(2 * (pixels.images - target))
            for part, optimizer, wanted in zip(parts, optimizers, target.split(case.ipc), strict=True):
                optimizer.zero_grad()
                ((part - 0.5) / 0.25 - wanted).square().sum().backward()
                optimizer.step()
        pixels.heed(losses[i])
        for scheduler, loss in zip(falling, losses[i], strict=True):
            scheduler.step(loss.item())
        rates = [each.param_groups[0]["lr"] for each in optimizers]
        assert (0.01 * pixels._kept["shares"]).tolist() == pytest.approx(rates)
    assert rates == [0.01, 0.0025, 0.005]
    expected = (torch.cat([part.detach() for part in parts]) - 0.5) / 0.25
    torch.testing.assert_close(pixels.images, expected, rtol=1e-4, atol=1e-4)


def test_a_new_low_is_lower_by_more_than_a_ten_thousandth(problem):
    """As PyTorch's scheduler has it by default."""
    pixels = FallingPixels(problem(parameters={"patience": 0}))
    for losses in ([1.0, 1.0, 1.0], [0.99995, 0.9998, 1.0]):
        pixels.heed(torch.tensor(losses))
    assert pixels._kept["shares"].tolist() == [0.5, 1.0, 0.5]


def test_pixels_under_sgd_move_with_what_is_left_of_the_rate(problem):
    case = problem(parameters={"optimizer": "sgd", "patience": 0, "formation": 1})
    pixels = FallingPixels(case)
    before, gradient = pixels.images.clone(), torch.ones_like(pixels.images)
    for low in (1.0, 1.0):
        pixels.heed(torch.tensor([low, low, low]) * torch.tensor([1.0, 1.0, low / 2]))
    pixels.heed(torch.tensor([0.5, 1.0, 0.1]))
    pixels.step(gradient)
    moved = ((before - pixels.images) / (0.01 * case.ipc / 0.25**2)).mean((1, 2, 3))
    torch.testing.assert_close(moved, torch.tensor([0.5, 0.5, 0.25, 0.25, 0.5, 0.5]))


# ---- whole runs


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_condensing_brings_the_characteristic_functions_closer(problem, optimizer):
    rate = {"adamw": 0.02, "sgd": 0.001}[optimizer]
    case = problem(
        parameters={
            "iterations": 15, "batch_real": 20, "lr_img": rate, "optimizer": optimizer, "patience": 100,
        }
    )  # fmt: skip
    loss = METHOD.matchers(case)[0]
    before = methods.get("random").condense(case).images
    after = dm.descended(case, FallingPixels(case), [loss], UNATTENDED).images
    first, last = (
        sum(loss.gradient(images, 1000 + i)[1].sum() for i in range(4)) for images in (before, after)
    )
    assert last < 0.95 * first


def test_condensing_by_class_equals_condensing_all_classes(problem):
    case = problem(parameters={"patience": 1, "iterations": 6})
    whole, gathered = METHOD.condense(case), problems.in_shards(METHOD, case)
    torch.testing.assert_close(gathered.images, whole.images, rtol=0, atol=2e-3)


@pytest.mark.parametrize("stop", [1, 4])
def test_a_stopped_run_ends_in_the_same_bytes(problem, tmp_path: Path, stop: int):
    case = problem(parameters={"iterations": 7, "patience": 1})
    check_resumes(METHOD, case, tmp_path, stop)
