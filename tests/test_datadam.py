"""DataDAM: attention, the loss against a plain version, and DM's loss as a part of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from condensery import methods, networks
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.methods import datadam, dm
from condensery.methods.datadam import attention
from tests import problems
from tests.interrupted import check_resumes

CONFIG = Path(__file__).parents[1] / "config"
METHOD = methods.get("datadam")
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randn(6, 3, 16, 16, generator=GENERATOR)


def problem(**changes):
    parameters = {"power": 4, "feature_weight": 0.01} | changes.pop("parameters", {})
    return problems.problem(**changes, parameters=parameters)


def test_attention_has_length_one_and_neither_scale_nor_order_of_channels():
    maps = torch.rand(5, 7, 4, 3, generator=GENERATOR, dtype=torch.float64)
    found = attention(maps, 4)
    assert found.shape == (5, 12)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5, dtype=torch.float64), rtol=1e-12, atol=0)
    torch.testing.assert_close(attention(3 * maps, 4), found, rtol=1e-12, atol=0)
    torch.testing.assert_close(attention(maps.flip(1), 4), found, rtol=1e-12, atol=0)
    sums = maps.sum(1).flatten(1)  # of activations that are not negative
    torch.testing.assert_close(attention(maps, 1), sums / sums.norm(dim=1, keepdim=True), rtol=1e-12, atol=0)
    assert attention(torch.zeros(1, 2, 2, 2), 4).isfinite().all()


@pytest.mark.parametrize(
    ("name", "maps"),
    {
        "convnet": [(128, 16, 16), (128, 8, 8), (128, 4, 4)],
        "convnet-d2-w8-swish-bn-max": [(8, 16, 16), (8, 8, 8)],
        "lenet": [(6, 16, 16), (16, 4, 4)],
    }.items(),
)
def test_maps_are_those_after_each_activation(name, maps):
    net = networks.build(name, channels=3, size=(16, 16), classes=3)
    found, embedding = net.maps(IMAGES)
    assert len(found) == net.maps_given()
    assert [tuple(each.shape[1:]) for each in found] == maps
    torch.testing.assert_close(embedding, net.embed(IMAGES))


@pytest.mark.parametrize("name", ["mlp", "resnet18-bn", "convnet-d1"])
def test_a_network_without_intermediate_maps_is_refused(name):
    with pytest.raises(CondenseryError, match=f"{name} has none: take a ConvNet"):
        METHOD.condense(problem(network=name))


@pytest.mark.parametrize("power", [1, 4])
def test_loss_is_that_of_the_paper(power):
    generator = torch.Generator().manual_seed(1)
    case = problem(parameters={"power": power, "feature_weight": 0.3})
    matcher = datadam.Matcher(case)
    net = matcher._network
    networks.initialize(net, generator)
    real = [torch.randn(5, 3, 16, 16, generator=generator) for _ in range(3)]
    see = matcher.features(net)
    losses = matcher.loss([see(images) for images in real], see(IMAGES).view(3, 2, -1), (0, 1, 2), 0)
    expected = 0.0
    for r, s in zip(real, IMAGES.split(2), strict=True):
        (first_r, _), psi_r = net.maps(r)
        (first_s, _), psi_s = net.maps(s)
        means = []
        for maps in (first_r, first_s):
            a = (maps.abs() ** power).sum(1).flatten(1)
            means.append((a / a.norm(dim=1, keepdim=True)).mean(0))
        expected += (means[0] - means[1]).square().sum()
        expected += 0.3 * (psi_r.mean(0) - psi_s.mean(0)).square().sum()
    torch.testing.assert_close(losses.sum(), 100 * expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d2-w16-bn"])
def test_the_weight_of_the_features_is_that_of_dms_loss(network):
    case = problem(network=network)
    low, high = (
        datadam.Matcher(problem(network=network, parameters={"feature_weight": w})).gradient(IMAGES, 3)
        for w in (0.0, 1.0)
    )
    gradient, loss = dm.Matcher(case).gradient(IMAGES, 3)
    torch.testing.assert_close(high[1] - low[1], 100 * loss, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(high[0] - low[0], 100 * gradient, rtol=1e-3, atol=1e-4)


def test_gradient_is_the_slope_of_the_loss():
    """Central differences along random directions, in a smooth network in float64."""
    case = problem(network="convnet-d2-w8-swish")
    matcher = datadam.Matcher(case)
    matcher._network.double()
    images = torch.randn(4, 3, 16, 16, generator=GENERATOR, dtype=torch.float64)
    real = torch.randn(5, 3, 16, 16, generator=GENERATOR, dtype=torch.float64)
    see = matcher.features(matcher._network)

    def seen(at):
        return torch.cat([attention(each, 4) for each in matcher._network.maps(at)[0][:-1]], 1)

    def loss(at):
        return matcher.loss([seen(real)], seen(at)[None], (0,), 0).sum()

    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    for _ in range(3):
        direction = torch.randn(images.shape, generator=GENERATOR, dtype=torch.float64)
        difference = (loss(images + 1e-5 * direction) - loss(images - 1e-5 * direction)) / 2e-5
        torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-6, atol=1e-12)
    assert see(images).shape == (4, 16 * 16 + matcher._network.features)


@pytest.mark.parametrize(("network", "mixed"), {"convnet-d2-w16": False, "convnet-d2-w16-bn": True}.items())
def test_batch_norm_sees_all_classes_at_once_in_any_order(network, mixed):
    matcher = datadam.Matcher(problem(network=network))
    gradient, losses = matcher.gradient(IMAGES, 3)
    order = torch.tensor([2, 0, 1])
    moved = datadam.Matcher(problem(network=network, classes=tuple(order.tolist())))
    other, found = moved.gradient(IMAGES.unflatten(0, (3, 2))[order].flatten(0, 1), 3)
    torch.testing.assert_close(found, losses[order], rtol=1e-4, atol=1e-3)
    expected = gradient.unflatten(0, (3, 2))[order].flatten(0, 1)
    torch.testing.assert_close(other, expected, rtol=1e-3, atol=1e-4)
    changed = torch.cat([IMAGES[:4], 2 * IMAGES[4:]])
    of_first = matcher.gradient(changed, 3)[1][0]
    assert torch.isclose(of_first, losses[0], rtol=1e-5).item() != mixed


@pytest.mark.parametrize("ipc", [1, 50, 100])
def test_parameters_are_those_of_the_paper_and_those_of_the_public_code(ipc):
    config, common = load_config(CONFIG, "paper"), {"momentum": 0.5, "init": "real", "feature_weight": 0.01}
    paper, code = (config.parameters("cifar10", name, "convnet", ipc) for name in ("datadam", "datadam-code"))
    rate = 10.0 if ipc > 50 else 1.0
    assert paper == common | {"iterations": 8000, "batch_real": 256, "power": 4, "lr_img": rate}
    assert code == common | {"iterations": 20000, "batch_real": 64, "power": 1, "lr_img": 1.0}


def test_condensing_brings_attention_closer():
    case = problem(parameters={"iterations": 30, "batch_real": 20, "lr_img": 0.2})
    before, after = methods.get("random").condense(case).images, METHOD.condense(case).images
    losses = [
        datadam.Matcher(case).gradient(images, 1000 + i)[1].sum()
        for images in (before, after)
        for i in range(4)
    ]
    assert sum(losses[4:]) < 0.8 * sum(losses[:4])


def test_condensing_by_class_equals_condensing_all_classes():
    whole, gathered = METHOD.condense(problem()), problems.in_shards(METHOD, problem())
    torch.testing.assert_close(gathered.images, whole.images, rtol=0, atol=1e-4)


def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path):
    case = problem()
    check_resumes(METHOD, case, tmp_path, 2)
