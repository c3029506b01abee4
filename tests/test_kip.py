"""KIP: its kernel against a wide network, invariances of the regression, gradients, a resumed run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from condensery import data, methods
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.methods.kip import Regression
from condensery.run import Recorder, Run
from condensery.training import ridge
from condensery.training.evaluation import evaluate
from condensery.training.recipes import resolve
from condensery.training.ridge import predictions, regression, tangent_kernel, targets_of
from condensery.training.samples import Samples
from tests import problems
from tests.interrupted import check_resumes
from tests.test_gradient_matching import CONFIG

METHOD = methods.get("kip")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(**changes):
    parameters = {"lr_img": 0.04, "batch_real": 30, "learn_labels": False}
    return problems.problem(**changes | {"parameters": parameters | changes.get("parameters", {})})


# ---- the kernel


def plain_kernel(x: np.ndarray, y: np.ndarray) -> float:
    """Return the kernel of one pair, in scalar arithmetic."""
    d = len(x)
    inner, own, other = (2 * sum(a * b for a, b in zip(p, q, strict=True)) / d + 0.01 for p, q in
                         ((x, y), (x, x), (y, y)))  # fmt: skip
    n = math.sqrt(own * other)
    angle = math.acos(max(-1.0, min(1.0, inner / n)))
    arc = n * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
    return 2 * inner * (math.pi - angle) / (2 * math.pi) + 2 * arc + 0.01


def test_kernel_is_the_closed_form_of_each_pair():
    x, y = normal(4, 7), normal(5, 7, seed=1)
    found = tangent_kernel(x, y)
    for i, one in enumerate(x.tolist()):
        for j, other in enumerate(y.tolist()):
            assert found[i, j].item() == pytest.approx(plain_kernel(one, other), rel=1e-12)
    own = tangent_kernel(x)
    torch.testing.assert_close(own, tangent_kernel(x, x), rtol=1e-7, atol=0)
    for i, one in enumerate(x.tolist()):
        assert own[i, i].item() == pytest.approx(plain_kernel(one, one), rel=1e-12)


def test_kernel_is_that_of_a_wide_network():
    """The inner products of the gradients of six random networks of width 8,192, by autograd."""
    x, width = normal(5, 10), 8192
    kernels = []
    for seed in range(6):
        shapes = ((10, width), (width,), (width, 1), (1,))
        weights = [normal(*shape, seed=10 * seed + k).requires_grad_() for k, shape in enumerate(shapes)]
        hidden = (x @ weights[0] * math.sqrt(2 / 10) + 0.1 * weights[1]).relu()
        outputs = hidden @ weights[2] * math.sqrt(2 / width) + 0.1 * weights[3]
        rows = [torch.autograd.grad(f, weights, retain_graph=True) for f in outputs.flatten()]
        flat = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
        kernels.append(flat @ flat.T)
    expected = tangent_kernel(x)
    assert ((torch.stack(kernels).mean(0) - expected).norm() / expected.norm()).item() < 0.03


def test_kernel_matrix_is_symmetric_and_positive_definite():
    own = tangent_kernel(normal(20, 12))
    torch.testing.assert_close(own, own.T, rtol=1e-13, atol=0)
    assert torch.linalg.eigvalsh(own).min() > 0


def test_an_image_that_is_among_the_others_has_a_finite_slope():
    x = normal(4, 6).requires_grad_()
    for kernel in (tangent_kernel(x), tangent_kernel(x.detach(), x)):
        (slope,) = torch.autograd.grad(kernel.sum(), x)
        assert slope.isfinite().all()


# ---- the regression


def test_a_support_predicts_itself_as_the_ridge_vanishes(monkeypatch: pytest.MonkeyPatch):
    support, targets = normal(12, 9), normal(12, 3, seed=1)
    errors = []
    for value in (1e-3, 1e-6, 1e-12):
        monkeypatch.setattr(ridge, "_RIDGE", value)
        own = tangent_kernel(support)
        errors.append((regression(own, own, targets) - targets).square().mean().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-20


def test_predictions_change_neither_with_the_order_of_the_support_nor_with_the_scale_of_the_kernel():
    support, targets, images = normal(8, 9), normal(8, 3, seed=1), normal(5, 9, seed=2)
    found = predictions(support, targets, images)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        predictions(support[order], targets[order], images), found, rtol=1e-8, atol=1e-10
    )
    own, across = tangent_kernel(support), tangent_kernel(images, support)
    torch.testing.assert_close(regression(7 * own, 7 * across, targets), found, rtol=1e-8, atol=1e-10)


def test_targets_are_labels_less_their_mean():
    labels = torch.tensor([2, 0])
    expected = torch.tensor([[-1 / 3, -1 / 3, 2 / 3], [2 / 3, -1 / 3, -1 / 3]], dtype=torch.float64)
    torch.testing.assert_close(targets_of(labels, 3, torch.float64), expected)
    torch.testing.assert_close(
        targets_of(expected.float() + 1 / 3, 3, torch.float64), expected, rtol=0, atol=1e-7
    )


# ---- the method


def test_gradients_are_the_slopes_of_the_loss():
    case = problem()
    regress = Regression(case)
    images, targets = normal(6, 3, 16, 16), normal(6, 3, seed=1)
    of_images, of_targets, loss = regress.gradient(images, targets, 2)
    real, wanted = regress._batch(2, images)
    missed = predictions(images.flatten(1), targets, real) - wanted
    torch.testing.assert_close(loss, (missed**2).sum() / (2 * missed.numel()))
    for seed in range(3):
        a, b = normal(*images.shape, seed=seed + 5), normal(*targets.shape, seed=seed + 9)
        high, low = (regress.gradient(images + h * a, targets + h * b, 2)[2] for h in (1e-5, -1e-5))
        slope = (of_images * a).sum() + (of_targets * b).sum()
        torch.testing.assert_close(slope, (high - low) / 2e-5, rtol=1e-6, atol=1e-12)


def test_a_batch_has_equally_many_images_of_each_class_and_new_ones_each_step():
    regress = Regression(problem(parameters={"batch_real": 20}))
    batches = [regress._batch(step, torch.empty(0, dtype=torch.float64)) for step in (0, 1)]
    for _, targets in batches:
        assert targets.argmax(1).bincount().tolist() == [6, 6, 6]
    assert not torch.equal(batches[0][0], batches[1][0])


@pytest.mark.parametrize("learn_labels", [False, True])
def test_condensing_predicts_the_real_images_better(learn_labels):
    case = problem(parameters={"iterations": 25, "learn_labels": learn_labels})
    regress, losses = Regression(case), []
    for condensed in (methods.get("random").condense(case), METHOD.condense(case)):
        targets = targets_of(condensed.labels, 3, torch.float64)
        losses.append(regress.gradient(condensed.images.double(), targets, 100)[2])
    assert losses[1] < 0.5 * losses[0]


def test_labels_are_hard_unless_they_are_learned():
    hard, soft = (
        METHOD.condense(problem(parameters={"learn_labels": value, "iterations": 3}))
        for value in (False, True)
    )
    assert torch.equal(hard.labels, problem().labels)
    assert soft.labels.shape == (6, 3)
    assert torch.equal(soft.class_indices, hard.labels)
    assert 0 < (soft.labels - torch.nn.functional.one_hot(hard.labels, 3)).abs().max() < 0.2


@pytest.mark.parametrize("learn_labels", [False, True])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, learn_labels: bool):
    case = problem(parameters={"iterations": 4, "learn_labels": learn_labels})
    check_resumes(METHOD, case, tmp_path, 2)


@pytest.mark.parametrize(("name", "learn_labels"), {"kip": False, "kip-labels": True}.items())
def test_parameters_are_those_of_the_public_code(name, learn_labels):
    assert load_config(CONFIG, "paper").parameters("cifar10", name, "convnet", 10) == {
        "iterations": 1000,
        "lr_img": 0.04,
        "batch_real": 5000,
        "init": "real",
        "learn_labels": learn_labels,
    }


def test_snapshots_are_refused():
    with pytest.raises(CondenseryError, match="omit --snapshots"):
        METHOD.condense(problem(), run=Run(recorder=Recorder([1])))


# ---- the regression as a recipe


def test_the_recipe_predicts_the_test_images_as_the_method_does_the_real_ones():
    case = problem(parameters={"iterations": 5, "learn_labels": True})
    condensed = METHOD.condense(case)
    recipe = resolve({"name": "ridge"}, condensed)
    samples = Samples.of_set(condensed, problems.CPU)
    outcomes = evaluate("convnet-d2-w8", samples, case.data.test, recipe, range(3), problems.CPU)
    test = case.data.test.batch(torch.arange(len(case.data.test)), torch.device("cpu")).double().flatten(1)
    targets = targets_of(condensed.labels, 3, torch.float64)
    found = predictions(condensed.images.double().flatten(1), targets, test).argmax(1)
    expected = 100 * (found == torch.as_tensor(case.data.test.labels)).double().mean().item()
    assert [outcome.network_seed for outcome in outcomes] == [0, 1, 2]
    assert [outcome.accuracy for outcome in outcomes] == pytest.approx([expected] * 3)
    assert expected > 50


def test_the_recipe_refuses_a_whole_data_set():
    with pytest.raises(CondenseryError, match="recipe ridge is for synthetic sets"):
        resolve({"name": "ridge"}, None)


@pytest.mark.slow
def test_learned_digits_are_regressed_better_than_random_ones(tmp_path: Path):
    """On 8 x 8 digits with 1 image per class, after 60 steps."""
    spec = load_config(CONFIG, "smoke").dataset("digits")
    data.prepare("digits", spec, tmp_path / "raw", tmp_path / "digits")
    real = data.load(tmp_path / "digits")
    case = problem(data=real, ipc=1, parameters={"iterations": 60, "batch_real": 1000})
    scores = [
        ridge.fit(Samples.of_set(condensed, problems.CPU), 10, problems.CPU).accuracy(real.test)
        for condensed in (methods.get("random").condense(case), METHOD.condense(case))
    ]
    assert scores[1] > scores[0] + 15
