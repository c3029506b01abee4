"""IDC: a step and the network's training against plain versions, decoding, a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import methods, networks, streams
from condensery.augmentation import mixing, siamese
from condensery.augmentation.mixing import Mix
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.formation import decode
from condensery.methods import idc
from condensery.methods.gradient_distance import DISTANCES
from tests import problems
from tests.interrupted import check_resumes
from tests.test_gradient_matching import (
    CONFIG,
    plain_draws,
    plain_network,
    real_images,
)

METHOD = methods.get("idc")
STRATEGY = "color+crop+cutout"
PARAMETERS = {
    "iterations": 3,
    "outer_loop": 3,
    "lr_img": 0.002,
    "momentum": 0.0,
    "batch_real": 8,
    "batch_synthetic": 128,
    "init": "real",
    "distance": "mse-conv",
    "strategy": STRATEGY,
    "formation": 2,
    "steps_net": 3,
    "batch_net": 12,
    "lr_net": 0.01,
    "momentum_net": 0.9,
    "decay_net": 0.0005,
    "strategy_net": "color+crop",
    "cutmix": 0.5,
}
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()


def problem(**changes):
    parameters = PARAMETERS | changes.pop("parameters", {})
    return problems.problem(**changes, parameters=parameters)


def matcher(case):
    """Return a matcher in float64 with the weights of its first network."""
    matching = METHOD.matcher(case)
    matching.network.double()
    matching.renew(0)
    return matching


# ---- the distance


def gradients(seed: int) -> list[torch.Tensor]:
    """Return gradients with the shapes of a small network: a convolution, its bias, a norm, a layer."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3, 3, 3), (4,), (4,), (5, 16), (5,), (2, 4, 1, 1)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize(("kind", "power"), [("mse-conv", 2), ("l1-conv", 1)])
def test_distance_is_a_sum_over_the_weights_of_convolutions(kind, power):
    a, b = gradients(0), gradients(1)
    expected = sum(
        abs(x - y) ** power
        for i in (0, 5)
        for x, y in zip(a[i].flatten().tolist(), b[i].flatten().tolist(), strict=True)
    )
    assert DISTANCES[kind](a, b).item() == pytest.approx(expected, rel=1e-12)
    assert DISTANCES[kind](a, a).item() == 0


@pytest.mark.parametrize("kind", ["mse-conv", "l1-conv"])
def test_gradients_of_other_parameters_change_nothing(kind):
    a, b = gradients(0), gradients(1)
    changed = [x if x.dim() == 4 else x + 7 for x in b]
    assert torch.equal(DISTANCES[kind](a, changed), DISTANCES[kind](a, b))


# ---- one step


def plain_loss(case, images, step=0):
    """Return the loss of all classes at stored images, in one graph."""
    net, address = plain_network(case, 0, torch.float64).train(), (0, step)
    weights = [w for w in net.parameters() if w.dim() == 4]
    total = 0.0
    for i, c in enumerate(case.classes):
        draw = plain_draws(case, case.parameters["strategy"], "shared", address, c)[0]
        real = real_images(case, "real", address, c, case.parameters["batch_real"], images.dtype)
        stored = images[i * case.ipc : (i + 1) * case.ipc]
        half = images.shape[-1] // 2
        parts = [stored[:, :, y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
        own = F.interpolate(torch.cat(parts), scale_factor=2, mode="bilinear", align_corners=False)
        if len(own) > case.parameters["batch_synthetic"]:
            order = torch.randperm(len(own), generator=streams.generator(case.seed, "decoded", *address, c))
            own = own[order[: case.parameters["batch_synthetic"]]]
        of_real, of_own = (
            torch.autograd.grad(
                F.cross_entropy(net(siamese.apply(x, draw)), torch.full((len(x),), c)),
                weights,
                create_graph=True,
            )
            for x in (real, own)
        )
        for a, b in zip(of_real, of_own, strict=True):
            difference = a.detach() - b
            squared = case.parameters["distance"] == "mse-conv"
            total = total + (difference.square() if squared else difference.abs()).sum()
    return total


@pytest.mark.parametrize("kind", ["mse-conv", "l1-conv"])
@pytest.mark.parametrize("most", [128, 5])
def test_gradient_is_that_of_one_graph_through_the_decoding(kind, most):
    case = problem(parameters={"distance": kind, "batch_synthetic": most})
    gradient, loss = matcher(case).gradient(IMAGES, 0, 2)
    images = IMAGES.clone().requires_grad_()
    expected = plain_loss(case, images, step=2)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, images)[0], rtol=1e-8, atol=1e-12)


def test_the_loss_is_zero_where_the_decoded_images_are_the_real_ones(monkeypatch):
    case = problem(parameters={"batch_real": 8})
    matching = matcher(case)
    own = iter([decode(part, 2) for part in IMAGES.split(2)])
    monkeypatch.setattr(matching, "_real", lambda chosen, dtype: next(own))
    gradient, loss = matching.gradient(IMAGES, 0, 0)
    assert loss.item() == pytest.approx(0, abs=1e-20)
    assert gradient.abs().max() < 1e-10


def test_with_one_part_an_image_stands_for_itself():
    whole = matcher(problem(parameters={"formation": 1}))
    assert torch.equal(whole.shown(IMAGES[:2], (0, 0, 0)), IMAGES[:2])
    images = torch.arange(7.0).view(7, 1, 1, 1)
    some = matcher(problem(parameters={"formation": 1, "batch_synthetic": 3}))
    drawn = [some.shown(images, (0, step, 1)).flatten().tolist() for step in range(3)]
    assert all(len(set(each)) == 3 and set(each) <= set(range(7)) for each in drawn)
    assert drawn[0] != drawn[1] or drawn[0] != drawn[2]


# ---- the network's training


def plain_training(case, steps):
    """Return a network after the training that follows each of some steps, with PyTorch's own optimizer."""
    parameters, train = case.parameters, case.data.train
    net = plain_network(case, 0, torch.float64).train()
    sgd = torch.optim.SGD(
        net.parameters(),
        lr=parameters["lr_net"],
        momentum=parameters["momentum_net"],
        weight_decay=parameters["decay_net"],
    )
    mixed = 0
    for step in range(steps):
        order = torch.randperm(len(train), generator=streams.generator(case.seed, "shuffle", 0, step))
        for number in range(parameters["steps_net"]):
            rows = order[number * parameters["batch_net"] : (number + 1) * parameters["batch_net"]]
            images = train.batch(rows.numpy(), torch.device("cpu")).double()
            labels = F.one_hot(torch.as_tensor(train.labels)[rows], 3).double()
            stream = streams.generator(case.seed, "augmentation", 0, step, number)
            images = siamese.apply(images, siamese.draw("color+crop", len(rows), (16, 16), stream))
            mixer = streams.generator(case.seed, "mixing", 0, step, number)
            cut = mixing.draw(Mix("cutmix", parameters["cutmix"], 1.0), len(rows), (16, 16), mixer)
            mixed += cut is not None
            images, labels = mixing.apply(images, labels, cut)
            sgd.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            sgd.step()
    return net, mixed


def test_the_network_is_trained_on_real_images_with_momentum():
    case = problem()
    matching = matcher(case)
    for step in range(3):
        matching.train(IMAGES, 0, step)
    expected, mixed = plain_training(case, 3)
    assert 0 < mixed < 9
    for name, weight in matching.network.named_parameters():
        torch.testing.assert_close(weight.detach(), dict(expected.named_parameters())[name].detach())


def test_neither_the_synthetic_images_nor_the_momentum_of_the_last_network_enter_the_training():
    matching, fresh = matcher(problem()), matcher(problem())
    matching.train(IMAGES, 0, 0)
    for each, images in ((matching, IMAGES), (fresh, 0 * IMAGES)):
        each.renew(1)
        each.train(images, 1, 0)
    for one, other in zip(matching.network.parameters(), fresh.network.parameters(), strict=True):
        assert torch.equal(one, other)


# ---- whole runs


def test_a_run_is_that_of_a_plain_version_on_pixels_from_0_to_1():
    """Algorithm 1 with PyTorch's own optimizer, one step for all classes, clamped before each network."""
    case = problem(parameters={"iterations": 2, "outer_loop": 2, "momentum": 0.5, "lr_img": 0.005})
    stored = torch.nn.Parameter(methods.get("random").condense(case).unit_images())
    pixels = torch.optim.SGD([stored], lr=0.005 * case.ipc, momentum=0.5)
    matching = METHOD.matcher(case)
    for iteration in range(2):
        with torch.no_grad():
            stored.clamp_(0, 1)
        matching.renew(iteration)
        for step in range(2):
            normalized = ((stored.detach() - 0.5) / 0.25).requires_grad_()
            gradient, _ = matching.gradient(normalized.detach(), iteration, step)
            stored.grad = gradient / 0.25
            pixels.step()
            if step == 0:
                matching.train(normalized, iteration, step)
    condensed = METHOD.condense(case)
    torch.testing.assert_close(condensed.unit_images(), stored.detach(), rtol=0, atol=1e-4)
    moved = (condensed.images - methods.get("random").condense(case).images).abs().max()
    assert moved > 1e-2


def test_sgd_without_momentum_at_twice_the_rate_is_the_authors_step_class_by_class():
    """The authors step one optimizer for each class, so that other classes move by their momentum."""
    classes, rounds = 10, 4
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(rounds, classes, generator=generator, dtype=torch.float64)
    theirs = torch.nn.Parameter(torch.zeros(classes, dtype=torch.float64))
    sgd = torch.optim.SGD([theirs], lr=1.0, momentum=0.5)
    for row in gradients:
        for c in range(classes):
            theirs.grad = torch.zeros_like(theirs)
            theirs.grad[c] = row[c]
            sgd.step()
    for _ in range(classes):  # steps by momentum alone
        theirs.grad = torch.zeros_like(theirs)
        sgd.step()
    ours = -2 * gradients.sum(0)
    torch.testing.assert_close(theirs.detach(), ours, rtol=0, atol=0.01)


def test_condensing_brings_the_gradients_closer():
    changes = {"iterations": 5, "batch_real": 20, "lr_img": 0.02}
    case = problem(parameters=changes)
    before, after = methods.get("random").condense(case).images, METHOD.condense(case).images
    losses = [
        sum(matcher(case).gradient(images.double(), 0, step)[1] for step in range(3, 9))
        for images in (before, after)
    ]
    assert losses[1] < 0.8 * losses[0]


@pytest.mark.parametrize("formation", [1, 2])
def test_both_formations_store_as_many_bytes_and_differ_in_what_is_trained_on(formation):
    condensed = METHOD.condense(problem(parameters={"iterations": 1, "formation": formation}))
    assert condensed.images.shape == (6, 3, 16, 16)
    assert len(condensed.decoded()) == 6 * formation**2


@pytest.mark.parametrize("last", [1, 2])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, last: int):
    case = problem()
    check_resumes(METHOD, case, tmp_path, last)


def test_a_class_depends_on_the_others_through_the_network():
    """This is why its shards are not condensed separately."""
    config = load_config(CONFIG, "paper")
    assert not config.method("idc")["independent_classes"]


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(CondenseryError, match="network mlp has none"):
        METHOD.condense(problem(network="mlp"))


def test_it_runs_with_batch_norm():
    case = problem(network="convnet-d2-w16-bn", parameters={"iterations": 1})
    assert networks.mixes_images(case.new_network())
    assert METHOD.condense(case).images.isfinite().all()


@pytest.mark.parametrize(
    ("dataset", "expected"),
    {
        "cifar10": (32, "mse-conv", 0.001, STRATEGY, 0.5),
        "cifar100": (32, "mse-conv", 0.001, STRATEGY, 0.5),
        "svhn": (8, "mse-conv", 0.001, STRATEGY, 0.5),
        "fashionmnist": (8, "l1-conv", 0.00002 * (28 / 32) ** 2, STRATEGY, 0.5),
        "mnist": (8, "l1-conv", 0.00002, "color+crop", 0),
    }.items(),
)
def test_parameters_are_those_of_the_public_code(dataset, expected):
    config = load_config(CONFIG, "paper")
    keys = ("steps_net", "distance", "lr_img", "strategy", "cutmix")
    for name, formation in (("idc", 2), ("idc-i", 1)):
        values = config.parameters(dataset, name, "convnet", 10)
        own = expected if name == "idc" else (*expected[:3], STRATEGY, 0.5)
        assert tuple(values[key] for key in keys) == pytest.approx(own)
        assert {key: value for key, value in values.items() if key not in keys} == {
            "iterations": 2000,
            "outer_loop": 100,
            "momentum": 0.0,
            "batch_real": 64,
            "batch_synthetic": 128,
            "init": "real",
            "formation": formation,
            "batch_net": 64,
            "lr_net": 0.01,
            "momentum_net": 0.9,
            "decay_net": 0.0005,
            "strategy_net": "color+crop",
        }
        assert config.method(name)["recipes"] == ["idc", "dsa"]


def test_an_image_of_several_parts_moves_in_the_parts_that_are_shown():
    case = problem(parameters={"batch_synthetic": 1, "strategy": "none"})
    gradient, _ = idc.Matcher(case, "none").gradient(IMAGES.float(), 0, 0)
    for part in gradient.split(2):
        quadrants = part.reshape(2, 3, 2, 8, 2, 8).abs().sum((1, 3, 5)).flatten()
        assert (quadrants > 0).sum() == 1
