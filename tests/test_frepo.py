"""FRePo: dual against primal ridge regression, gradients, labels, the pool of networks, a resumed run."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import data, methods, networks
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.methods import frepo
from condensery.methods.frepo import Pool, Prediction, margin
from condensery.run import Recorder, Run
from condensery.training import ridge
from condensery.training.descent import Lamb
from condensery.training.evaluation import evaluate
from condensery.training.recipes import resolve
from condensery.training.samples import Samples
from tests import problems
from tests.interrupted import check_resumes
from tests.test_gradient_matching import CONFIG

METHOD = methods.get("frepo")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(**changes):
    parameters = {
        "iterations": 4,
        "optimizer": "lamb",
        "lr_img": 0.01,
        "floor": 0.1,
        "batch_real": 30,
        "learn_labels": True,
        "flip": False,
        "networks": 3,
        "network_steps": 6,
        "lr_net": 0.003,
        "batch_net": 1000,
    }
    changed = {"parameters": parameters | changes.pop("parameters", {})}
    return problems.problem(**({"network": "frepo-d2-w8-bn"} | changes | changed))


def prediction(case) -> tuple[Prediction, dict[str, Tensor]]:
    """Return a prediction in float64, and weights whose batch statistics are not the initial ones."""
    found, pool = Prediction(case), Pool(case)
    images = problems.real_data().train.batch(torch.arange(6), torch.device("cpu"))
    pool.train(pool.members[0], images, normal(6, 3).float(), 0)
    found.network.double()
    return found, pool.members[0].weights


# ---- the regression


def plain_loss(case, weights: dict[str, Tensor], images: Tensor, targets: Tensor, rows: Tensor) -> Tensor:
    """The loss by primal ridge regression: one weight for each feature."""
    network = case.new_network().double().eval()
    network.load_state_dict(weights)
    real = case.data.train.batch(rows, torch.device("cpu")).double()
    wanted = F.one_hot(torch.as_tensor(case.data.train.labels)[rows], 3).double() - 1 / 3
    with torch.no_grad():
        support, features = (network.body(x).flatten(1) for x in (images, real))
    penalty = 1e-6 * support.square().sum() / len(support)
    size = support.shape[1]
    solution = torch.linalg.solve(support.T @ support + penalty * torch.eye(size), support.T @ targets)
    missed = ((features @ solution - wanted) ** 2).sum(1).mean() / 2
    margins = [min(row[-1] - row[-2], 1 / 3) for row in targets.sort(1).values.tolist()]
    return missed - sum(margins) / len(margins)


def test_the_loss_is_that_of_primal_ridge_regression():
    case = problem()
    predict, weights = prediction(case)
    images, targets = normal(6, 3, 16, 16), normal(6, 3, seed=1)
    loss = predict.gradient(weights, images, targets, 2)[2]
    expected = plain_loss(case, weights, images, targets, predict._rows(2))
    torch.testing.assert_close(loss, expected, rtol=1e-8, atol=0)


def test_dual_and_primal_solutions_are_equal():
    support, targets, others = normal(8, 20), normal(8, 3, seed=1), normal(5, 20, seed=2)
    penalty = ridge._RIDGE * support.square().sum() / 8
    solution = torch.linalg.solve(support.T @ support + penalty * torch.eye(20), support.T @ targets)
    found = ridge.regression(support @ support.T, others @ support.T, targets)
    torch.testing.assert_close(found, others @ solution, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("flip", [False, True])
def test_gradients_are_the_slopes_of_the_loss(flip: bool):
    case = problem(network="convnet-d2-w8-sigmoid-nonorm", parameters={"flip": flip})
    predict = Prediction(case)
    networks.initialize(predict.network, torch.Generator().manual_seed(0))
    predict.network.double()
    weights = {name: tensor.clone() for name, tensor in predict.network.state_dict().items()}
    images, targets = normal(6, 3, 16, 16), normal(6, 3, seed=1)
    of_images, of_targets, _ = predict.gradient(weights, images, targets, 2)
    for seed in range(3):
        a, b = normal(*images.shape, seed=seed + 5), normal(*targets.shape, seed=seed + 9)
        high, low = (predict.gradient(weights, images + h * a, targets + h * b, 2)[2] for h in (1e-5, -1e-5))
        slope = (of_images * a).sum() + (of_targets * b).sum()
        torch.testing.assert_close(slope, (high - low) / 2e-5, rtol=1e-4, atol=1e-9)


def test_mirrored_images_of_symmetric_ones_change_only_the_scale_of_the_ridge(
    monkeypatch: pytest.MonkeyPatch,
):
    """Repeating every row is the same regression with half the ridge; the ridge scales with the mean."""
    half = normal(6, 3, 16, 8)
    images, targets = torch.cat([half, half.flip(-1)], -1), normal(6, 3, seed=1)
    losses = []
    for flip, scale in ((False, 1e-6), (True, 2e-6)):
        monkeypatch.setattr(ridge, "_RIDGE", scale)
        predict, weights = prediction(problem(parameters={"flip": flip}))
        losses.append(predict.gradient(weights, images, targets, 2)[2])
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=0)


def test_margins_are_between_none_and_one_class():
    targets = normal(50, 4)
    assert 0 <= margin(targets) <= 1 / 4
    assert margin(100 * torch.eye(4)) == 1 / 4
    assert margin(torch.ones(3, 4)) == 0
    assert margin(torch.tensor([[0.3, 0.2, -0.5], [0.0, 0.1, 0.9]])).item() == pytest.approx(
        (0.1 + 1 / 3) / 2
    )


def test_real_images_are_new_in_each_iteration_and_none_comes_twice():
    predict = Prediction(problem())
    rows = [predict._rows(step).tolist() for step in (0, 1)]
    assert rows[0] != rows[1]
    assert all(len(set(each)) == 30 for each in rows)


# ---- the optimizer


def test_lamb_takes_steps_as_long_as_the_tensors():
    """One tensor against plain arithmetic; the other is zero, so that its step is Adam's."""
    value, gradients = normal(5).tolist(), [normal(5, seed=s).tolist() for s in (1, 2, 3)]
    tensor, zero = torch.tensor(value, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    lamb = Lamb([tensor, zero], 0.1, 0.9)
    mean, square = [0.0] * 5, [0.0] * 5
    for step, gradient in enumerate(gradients, 1):
        tensor.grad, zero.grad = torch.tensor(gradient, dtype=torch.float64), torch.zeros_like(zero)
        lamb.step()
        mean = [0.9 * m + 0.1 * g for m, g in zip(mean, gradient, strict=True)]
        square = [0.999 * s + 0.001 * g * g for s, g in zip(square, gradient, strict=True)]
        change = [
            m / (1 - 0.9**step) / (math.sqrt(s / (1 - 0.999**step)) + 1e-6)
            for m, s in zip(mean, square, strict=True)
        ]
        ratio = math.hypot(*value) / math.hypot(*change)
        value = [v - 0.1 * ratio * c for v, c in zip(value, change, strict=True)]
        assert tensor.tolist() == pytest.approx(value, rel=1e-12)
    assert zero.tolist() == [0, 0]
    zero.grad = torch.tensor([3.0, -2.0], dtype=torch.float64)
    Lamb([zero], 0.1, 0.9).step()
    assert zero.tolist() == pytest.approx([-0.1, 0.1], rel=1e-5)


def test_the_rate_falls_along_half_a_cosine():
    case = problem(parameters={"iterations": 10, "lr_img": 0.5})
    learned = frepo._Learned(case)
    rates = []
    for step in (0, 5):
        learned.step(step, torch.ones_like(learned.images), torch.ones_like(learned.targets))
        rates.append(learned._optimizer.lr)
    assert rates == pytest.approx([0.5, 0.5 * (0.1 + 0.9 / 2)])


# ---- the pool


def differing(before: list[dict[str, Tensor]], after: list[dict[str, Tensor]]) -> list[int]:
    pairs = zip(before, after, strict=True)
    return [i for i, (a, b) in enumerate(pairs) if any(not torch.equal(a[name], b[name]) for name in a)]


def test_ages_are_spread_and_only_the_drawn_network_changes():
    case = problem(parameters={"networks": 4, "network_steps": 100})
    pool, learned = Pool(case), frepo._Learned(case)
    assert [member.age for member in pool.members] == [0, 25, 50, 75]
    assert differing([pool.members[0].weights] * 3, [m.weights for m in pool.members[1:]]) == [0, 1, 2]
    drawn = [pool.members.index(pool.drawn(step)) for step in range(40)]
    assert set(drawn) == {0, 1, 2, 3}
    before = [member.weights for member in pool.members]
    pool.train(pool.members[2], learned.images, learned.targets, 0)
    assert differing(before, [member.weights for member in pool.members]) == [2]
    assert [member.age for member in pool.members] == [0, 25, 51, 75]


def test_a_step_of_a_network_is_adam_on_the_squared_error():
    case = problem(parameters={"networks": 1})
    pool, learned = Pool(case), frepo._Learned(case)
    network = case.new_network().train()
    network.load_state_dict(pool.members[0].weights)
    adam = torch.optim.Adam(network.parameters(), lr=0.003)
    for step in range(3):
        adam.zero_grad()
        ((network(learned.images) - learned.targets) ** 2).sum(1).mean().div(2).backward()
        adam.step()
        pool.train(pool.members[0], learned.images, learned.targets, step)
    found = pool.members[0].weights
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name], parameter.detach(), rtol=1e-4, atol=1e-6)


def test_running_statistics_have_nine_tenths_of_the_newest_batch():
    case = problem(parameters={"networks": 1})
    pool, images = Pool(case), normal(6, 3, 16, 16).float()
    network = case.new_network()
    network.load_state_dict(pool.members[0].weights)
    first = network.body[:3](images)
    pool.train(pool.members[0], images, normal(6, 3).float(), 0)
    (name,) = [name for name in pool.members[0].weights if name.endswith("running_mean")]
    expected = 0.9 * first.mean((0, 2, 3))
    torch.testing.assert_close(pool.members[0].weights[name], expected.detach(), rtol=1e-5, atol=1e-6)


def test_an_old_network_makes_way_for_a_new_one():
    case = problem(parameters={"networks": 2, "network_steps": 4})
    pool, learned = Pool(case), frepo._Learned(case)
    assert [member.age for member in pool.members] == [0, 2]
    ages = []
    for step in range(5):
        pool.train(pool.members[1], learned.images, learned.targets, step)
        ages.append((pool.members[1].number, pool.members[1].age))
    # A network is replaced once its age exceeds its number of steps, as in the public code.
    assert ages == [(1, 3), (1, 4), (1, 5), (2, 0), (2, 1)]


def test_large_sets_are_trained_on_in_part(monkeypatch: pytest.MonkeyPatch):
    case = problem(parameters={"networks": 1, "batch_net": 4})
    pool, learned, seen = Pool(case), frepo._Learned(case), []
    forward = pool._forward
    monkeypatch.setattr(pool, "_forward", lambda images: seen.append(images) or forward(images))
    for step in range(2):
        pool.train(pool.members[0], learned.images, learned.targets, step)
    assert [len(images) for images in seen] == [4, 4]
    assert not torch.equal(*seen)
    assert all(any(torch.equal(image, own) for own in learned.images) for image in seen[0])


# ---- the method


def test_labels_begin_centered_and_scaled():
    learned = frepo._Learned(problem(data=problems.real_data(classes=4)))
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    torch.testing.assert_close(learned.targets, (F.one_hot(labels, 4) - 1 / 4) / math.sqrt(0.4))


@pytest.mark.parametrize("optimizer", ["lamb", "adam"])
def test_condensing_predicts_the_real_images_better(optimizer: str):
    case = problem(parameters={"iterations": 40, "optimizer": optimizer, "lr_img": 0.02})
    predict, weights = prediction(case)
    predict.network.float()
    first, losses = frepo._Learned(case), []
    condensed = METHOD.condense(case)
    for images, targets in ((first.images, first.targets), (condensed.images, condensed.labels - 1 / 3)):
        losses.append(predict.gradient(weights, images, targets, 100)[2] + margin(targets))  # without it
    assert losses[1] < 0.7 * losses[0]


def test_labels_are_hard_unless_they_are_learned():
    hard, soft = (METHOD.condense(problem(parameters={"learn_labels": value})) for value in (False, True))
    assert torch.equal(hard.labels, problem().labels)
    assert soft.labels.shape == (6, 3)
    assert torch.equal(soft.class_indices, hard.labels)
    assert (soft.labels.sum(1) - 1).abs().max() < 0.1


@pytest.mark.parametrize("change", [{}, {"optimizer": "adam", "learn_labels": False}])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, change: dict[str, object]):
    """The last steps train networks from before the interruption, and a new one."""
    few = {"iterations": 12, "networks": 2, "network_steps": 2}
    check_resumes(METHOD, problem(parameters=few | change), tmp_path, 8)


@pytest.mark.parametrize(
    ("dataset", "ipc", "flip"),
    [
        *(("cifar10", ipc, True) for ipc in (1, 10, 50)),
        *((name, ipc, ipc == 1) for name in ("cifar100", "tinyimagenet") for ipc in (1, 10, 50)),
        *((name, 10, False) for name in ("mnist", "fashionmnist")),
    ],
)
def test_parameters_are_those_of_the_public_code(dataset, ipc, flip):
    assert load_config(CONFIG, "paper").parameters(dataset, "frepo", "frepo-bn", ipc) == {
        "iterations": 500_000,
        "optimizer": "lamb",
        "lr_img": 0.0003,
        "floor": 0.1,
        "batch_real": 1024,
        "init": "real",
        "learn_labels": True,
        "flip": flip,
        "networks": 10,
        "network_steps": 100,
        "lr_net": 0.0003,
        "batch_net": 1000,
    }


def test_snapshots_are_refused():
    with pytest.raises(CondenseryError, match="omit --snapshots"):
        METHOD.condense(problem(), run=Run(recorder=Recorder([1])))


def test_parts_of_the_real_batch_give_the_features_of_the_whole():
    case = problem()
    small = dataclasses.replace(case, device=dataclasses.replace(problems.CPU, memory_bytes=100_000))
    (whole, weights), (parts, _) = prediction(case), prediction(small)
    assert parts._at_once < 30
    images, targets = normal(6, 3, 16, 16), normal(6, 3, seed=1)
    found, expected = (each.gradient(weights, images, targets, 1) for each in (parts, whole))
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
def test_condensed_digits_train_a_fresh_network_better_than_random_ones(tmp_path: Path):
    """On 8 x 8 digits with 1 image per class, in FRePo's recipe and its network without normalization."""
    spec = load_config(CONFIG, "smoke").dataset("digits")
    data.prepare("digits", spec, tmp_path / "raw", tmp_path / "digits")
    real = data.load(tmp_path / "digits")
    changes = {
        "iterations": 100,
        "optimizer": "adam",
        "batch_real": 256,
        "networks": 10,
        "network_steps": 100,
    }
    case = problem(data=real, ipc=1, network="frepo-w16", parameters=changes | {"lr_net": 0.0003})
    values = load_config(CONFIG, "paper").recipe("frepo", "digits", 1, "frepo-w16")
    values |= {"epochs": 300, "lr": 0.003, "augmentation": "none", "schedule": {"kind": "constant"}}
    scores = []
    for condensed in (methods.get("random").condense(case), METHOD.condense(case)):
        samples, recipe = Samples.of_set(condensed, problems.CPU), resolve(values, condensed)
        outcomes = evaluate("frepo-w16", samples, real.test, recipe, range(2), problems.CPU)
        scores.append(sum(outcome.accuracy for outcome in outcomes) / 2)
    assert scores[1] > scores[0] + 5, scores
