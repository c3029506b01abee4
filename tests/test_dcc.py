"""DCC and DSAC: loss and gradient against a plain version, the case of one class, a resumed run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import methods
from condensery.augmentation import siamese
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.methods import dcc, gradient_matching
from condensery.run import Run
from tests import problems
from tests.interrupted import Stopped, Stopping
from tests.test_gradient_matching import (
    CONFIG,
    plain_distance,
    plain_draws,
    plain_network,
    real_images,
)
from tests.test_gradient_matching import problem as matching_problem

IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
TOGETHER = {"alone_networks": 0, "alone_steps": 10}


def problem(**changes):
    """Return a small problem whose classes are matched together from the first step on."""
    parameters = TOGETHER | {"strategy": "dataset"} | changes.pop("parameters", {})
    return matching_problem(**changes, parameters=parameters)


def matcher(case, strategy, kind=dcc.Matcher):
    """Return a matcher in float64 with the weights of its first network."""
    matching = kind(case, strategy)
    matching.network.double()
    matching.renew(0)
    return matching


def plain_loss(case, strategy, images):
    """The distance between gradients of the concatenated real batches and of the whole set, in one graph."""
    net, address = plain_network(case, 0, torch.float64).train(), (0, 0)
    parameters = list(net.parameters())
    draws = [plain_draws(case, strategy, "shared", address, c)[0] for c in case.classes]
    count = case.parameters["batch_real"]
    real = [
        siamese.apply(real_images(case, "real", address, c, count, images.dtype), draw)
        for c, draw in zip(case.classes, draws, strict=True)
    ]
    own = [siamese.apply(part, draw) for part, draw in zip(images.split(case.ipc), draws, strict=True)]
    gradients = []
    for parts in (real, own):
        labels = torch.cat([torch.full((len(x),), c) for c, x in zip(case.classes, parts, strict=True)])
        loss = F.cross_entropy(net(torch.cat(parts)), labels)
        gradients.append(torch.autograd.grad(loss, parameters, create_graph=True))
    return plain_distance(case.parameters["distance"], [g.detach() for g in gradients[0]], gradients[1])


@pytest.mark.parametrize("kind", ["layerwise", "mse", "cos"])
@pytest.mark.parametrize("memory_bytes", [10**9, 1], ids=["one batch", "image by image"])
@pytest.mark.parametrize("strategy", ["none", problems.STRATEGY])
def test_gradient_is_that_of_the_mean_loss_of_all_classes(kind, memory_bytes, strategy):
    device = dataclasses.replace(problems.CPU, memory_bytes=memory_bytes)
    case = problem(device=device, parameters={"distance": kind})
    gradient, loss = matcher(case, strategy).gradient(IMAGES, 0, 0)
    images = IMAGES.clone().requires_grad_()
    expected = plain_loss(case, strategy, images)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, images)[0], rtol=1e-8, atol=1e-12)


def test_classes_count_alike_however_many_real_images_each_has():
    case = problem(parameters={"batch_real": 20})
    net, address, sums = plain_network(case, 0, torch.float64).train(), (0, 0), None
    batches = [real_images(case, "real", address, c, 20, torch.float64) for c in case.classes]
    assert [len(images) for images in batches] == [20, 20, 15]
    weights = list(net.parameters())
    for c, images in zip(case.classes, batches, strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(net(images), torch.full((len(images),), c)), weights)
        sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else list(gradients)
    own = torch.autograd.grad(F.cross_entropy(net(IMAGES), case.labels), weights)
    expected = plain_distance("layerwise", [each / 3 for each in sums], own)
    torch.testing.assert_close(matcher(case, "none").gradient(IMAGES, 0, 0)[1], expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d2-w16-bn"])
def test_with_one_class_the_loss_is_that_of_gradient_matching(network):
    case = problem(classes=(1,), network=network)
    kinds = (dcc.Matcher, gradient_matching.Matcher)
    (one, loss), (other, expected) = (
        matcher(case, problems.STRATEGY, kind).gradient(IMAGES[:2], 0, 0) for kind in kinds
    )
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)


def test_a_class_depends_on_the_others():
    whole = matcher(problem(), "none").gradient(IMAGES, 0, 0)[0]
    alone = matcher(problem(classes=(0,)), "none").gradient(IMAGES[:2], 0, 0)[0]
    assert (whole[:2] - alone).norm() > 0.1 * alone.norm()


def test_the_first_steps_of_the_first_networks_match_each_class_alone():
    case = problem(parameters={"alone_networks": 2, "alone_steps": 3})
    ours, alone, together = (
        matcher(c, "none", kind)
        for c, kind in (
            (case, dcc.Matcher),
            (case, gradient_matching.Matcher),
            (problem(), dcc.Matcher),
        )
    )
    for address, other in {(0, 0): alone, (1, 2): alone, (1, 3): together, (2, 0): together}.items():
        for each in (ours, other):
            each.renew(address[0])
        assert torch.equal(ours.gradient(IMAGES, *address)[0], other.gradient(IMAGES, *address)[0]), address


def test_when_all_steps_are_alone_the_run_is_that_of_dsa():
    case = problem(parameters={"alone_networks": 2})
    assert torch.equal(methods.get("dcc").condense(case).images, methods.get("dsa").condense(case).images)


def test_condensing_halves_the_distance():
    """With the published loops of 1 image per class, from noise."""
    changes = {"init": "noise", "batch_real": 20, "outer_loop": 10, "inner_loop": 5, "lr_img": 1.0}
    method = methods.get("dcc")
    noise, learned = (
        method.condense(problem(ipc=1, parameters=changes | {"iterations": n})).images for n in (0, 6)
    )
    losses = [matcher(problem(ipc=1), "none").gradient(x.double(), 0, 0)[1] for x in (noise, learned)]
    assert losses[1] < 0.5 * losses[0]


@pytest.mark.parametrize("last", [1, 3])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, last: int):
    case = problem(parameters={"iterations": 4, "alone_networks": 2})
    method = methods.get("dcc")
    method.condense(case).save(tmp_path / "undisturbed.safetensors")
    with pytest.raises(Stopped):
        method.condense(case, run=Run(Stopping(tmp_path / "state", last)))
    method.condense(case, run=Run(Stopping(tmp_path / "state", -1))).save(tmp_path / "resumed.safetensors")
    undisturbed, resumed = (
        (tmp_path / f"{name}.safetensors").read_bytes() for name in ("undisturbed", "resumed")
    )
    assert resumed == undisturbed


@pytest.mark.parametrize(("ipc", "loops"), {1: (10, 5), 10: (10, 50), 50: (50, 10), 7: (None, None)}.items())
def test_parameters_are_the_published_ones(ipc, loops):
    config = load_config(CONFIG, "paper")
    for name, strategy in (("dcc", "none"), ("dsac", "dataset")):
        assert config.parameters("cifar10", name, "convnet", ipc) == {
            "iterations": 1000,
            "outer_loop": loops[0],
            "inner_loop": loops[1],
            "lr_img": 0.1,
            "momentum": 0.5,
            "lr_net": 0.01,
            "batch_real": 256,
            "batch_net": 256,
            "init": "real",
            "distance": "layerwise",
            "strategy": strategy,
            "alone_networks": 250,
            "alone_steps": 10,
        }
    assert [config.method(name)["recipes"] for name in ("dcc", "dsac")] == [["dc"], ["dsa"]]


def test_dsac_without_an_augmentation_is_refused():
    with pytest.raises(CondenseryError, match="patterns has no augmentation"):
        methods.get("dcc").condense(problem(augmentation="none"))
