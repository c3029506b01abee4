"""DANCE: interpolated networks, calibration, DM as a special case, shards, a resumed run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import methods, networks, streams
from condensery.augmentation import siamese
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.formation import decode
from condensery.methods import dm
from condensery.methods.calibration import Calibration
from condensery.methods.pairs import Pairs
from condensery.methods.pixels import UnitPixels
from condensery.pool.states import FIRST_SEED
from condensery.pool.store import Pool, State, load_weights, write
from condensery.run import UNATTENDED
from tests import problems
from tests.interrupted import check_resumes

CONFIG = Path(__file__).parents[1] / "config"
METHOD = methods.get("dance")
OWN = {"strategy": "color+crop+cutout", "formation": 2, "lr_img": 0.02, "momentum": 0.0}
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return problems.pairs_file(tmp_path_factory.mktemp("pairs"), problems.real_data())


@pytest.fixture
def problem(pairs: Path):
    def build(**changes):
        parameters = OWN | changes.pop("parameters", {})
        return problems.problem(parameters=parameters, **({"trained": {"pairs": [pairs]}} | changes))

    return build


def weights(net) -> torch.Tensor:
    return torch.cat([each.detach().flatten() for each in net.parameters()])


# ---- the pairs


def test_a_pair_is_a_network_before_and_after_its_training(pairs):
    found = Pool.open([pairs], "patterns", "convnet-d2-w16").pairs()
    assert [(first.network, first.step, last.step) for first, last in found] == [(0, 0, 8), (1, 0, 8)]
    for number, (first, last) in enumerate(found):
        fresh = networks.build("convnet-d2-w16", channels=3, size=(16, 16), classes=3)
        networks.initialize(fresh, streams.generator(FIRST_SEED + number, "evaluation-network"))
        torch.testing.assert_close(first.weights().float(), weights(fresh), rtol=1e-3, atol=1e-6)
        assert last.accuracy > first.accuracy
        assert last.accuracy > 60


def test_networks_lie_evenly_between_both_ends_of_every_pair(problem, pairs):
    drawn, net = Pairs(problem()), problem().new_network()
    ends = [
        [each.weights().float() for each in pair]
        for pair in Pool.open([pairs], "patterns", "convnet-d2-w16").pairs()
    ]
    shares = ([], [])
    for step in range(60):
        drawn.between(net, step)
        reached = weights(net)
        drawn.trained(net, step)
        (number,) = [k for k, (_, last) in enumerate(ends) if torch.equal(last, weights(net))]
        first, last = ends[number]
        share = ((reached - last) @ (first - last)) / (first - last).square().sum()
        torch.testing.assert_close(reached, last + share * (first - last), rtol=1e-4, atol=1e-5)
        shares[number].append(share.item())
    for each in shares:
        assert len(each) > 15
        assert 0 <= min(each) < 0.2
        assert 0.8 < max(each) <= 1
        assert 0.35 < sum(each) / len(each) < 0.65


def test_states_on_the_way_are_not_taken_for_pairs(problem, tmp_path):
    pool = tmp_path / "pool.safetensors"
    about = {"dataset": "patterns", "network": "convnet-d2-w16", "networks": 1}
    states = [State(0, step, 50.0, torch.zeros(9, dtype=torch.float16)) for step in (1, 3)]
    write(pool, states, {"experiment": about})
    with pytest.raises(
        CondenseryError, match=r"pool\.safetensors: networks on the way, .* scripts/pairs\.py"
    ):
        METHOD.condense(problem(trained={"pairs": [pool]}))
    with pytest.raises(CondenseryError, match=r"needs pairs: give what scripts/pairs\.py writes"):
        METHOD.condense(problem(trained={}))


# ---- the losses


@pytest.mark.parametrize("end", [0, 1], ids=["random", "trained"])
@pytest.mark.parametrize("memory_bytes", [10**9, 1], ids=["one batch", "class by class"])
def test_at_either_end_the_features_loss_is_dms(problem, pairs, monkeypatch, end, memory_bytes):
    device = dataclasses.replace(problems.CPU, memory_bytes=memory_bytes)
    case = problem(device=device)
    monkeypatch.setattr(torch, "rand", lambda *args, **more: torch.tensor(1.0 - end))
    drawn = Pairs(case)._drawn(3)
    monkeypatch.undo()
    monkeypatch.setattr(Pairs, "_drawn", lambda self, step: drawn)
    pair, _ = drawn
    case = dataclasses.replace(case, augmentation=OWN["strategy"])
    plain = dm.Matcher(case, lambda net, step: load_weights(net, pair[end].weights()))
    between = METHOD.matchers(case)[0]
    for one, other in zip(between.gradient(IMAGES, 3), plain.gradient(IMAGES, 3), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_calibration_is_the_cross_entropy_of_the_enlarged_parts(problem):
    case = dataclasses.replace(problem(), augmentation="crop")
    pairs, net = Pairs(case), case.new_network()
    gradient, losses = Calibration(case, pairs.trained).gradient(IMAGES, 5)
    pairs.trained(net, 5)
    leaf, expected = IMAGES.clone().requires_grad_(), []
    for c, own in enumerate(leaf.split(2)):
        draw = siamese.draw("crop", 1, (16, 16), streams.generator(case.seed, "calibration", 5, c))
        logits = net(siamese.apply(decode(own, 2), draw))
        expected.append(F.cross_entropy(logits, torch.full((8,), c)))
    torch.testing.assert_close(losses, torch.stack(expected).detach(), rtol=1e-4, atol=1e-5)
    (of_sum,) = torch.autograd.grad(sum(expected), leaf)
    torch.testing.assert_close(gradient, of_sum, rtol=1e-3, atol=1e-6)


def test_calibrations_gradient_is_the_slope(problem):
    """Central differences in a smooth network of float64."""
    case = problem(augmentation="none", network="convnet-d2-w8-swish", trained={})
    loss = Calibration(case, lambda net, step: networks.initialize(net, torch.Generator().manual_seed(1)))
    loss._network.double()
    images, direction = (
        torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(s), dtype=torch.float64)
        for s in (1, 2)
    )

    def at(shown):
        logits = loss._network(torch.cat([decode(part, 2) for part in shown.split(2)])).view(3, 8, -1)
        return loss.loss([], logits, (0, 1, 2), 0).sum()

    networks.initialize(loss._network, torch.Generator().manual_seed(1))
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(at(leaf), leaf)
    difference = (at(images + 1e-5 * direction) - at(images - 1e-5 * direction)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-6, atol=1e-10)


def test_parameters_are_those_of_the_public_code_at_twice_its_rate_without_momentum():
    config = load_config(CONFIG, "paper")
    common = {"iterations": 10000, "batch_real": 128, "init": "real"}
    assert config.parameters("cifar10", "dance", "convnet", 10) == common | OWN
    assert config.spec["pairs"]["networks"] == 20
    assert config.method("dance")["recipes"] == ["dsa", "dance"]


# ---- complete runs


def test_an_iteration_steps_along_both_losses_one_after_the_other(problem):
    case = problem(parameters={"iterations": 1, "lr_img": 0.01})
    start = METHOD.condense(dataclasses.replace(case, parameters={**case.parameters, "iterations": 0})).images
    features, calibration = METHOD.matchers(case)
    rate = 0.01 * case.ipc / 0.25**2
    images = start.clamp(-2, 2)
    for loss in (features, calibration):
        images = images - rate * loss.gradient(images, 0)[0]
    torch.testing.assert_close(METHOD.condense(case).images, images, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", [0, 1], ids=["features", "calibration"])
def test_condensing_along_a_loss_brings_it_down(problem, which):
    case = problem(parameters={"iterations": 15, "batch_real": 20, "lr_img": 0.05})
    loss = METHOD.matchers(case)[which]
    before = methods.get("random").condense(case).images
    after = dm.descended(case, UnitPixels(case), [loss], UNATTENDED).images
    first, last = (
        sum(loss.gradient(images, 1000 + i)[1].sum() for i in range(4)) for images in (before, after)
    )
    assert last < 0.95 * first


def test_condensing_by_class_equals_condensing_all_classes(problem):
    whole, gathered = METHOD.condense(problem()), problems.in_shards(METHOD, problem())
    torch.testing.assert_close(gathered.images, whole.images, rtol=0, atol=1e-5)


def test_a_stopped_run_ends_in_the_same_bytes(problem, tmp_path: Path):
    case = problem(parameters={"iterations": 5})
    check_resumes(METHOD, case, tmp_path, 2)
