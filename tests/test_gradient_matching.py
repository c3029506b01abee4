"""DC and DSA: distances, one step and complete runs against plain versions, and resuming."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from condensery import methods, networks, streams
from condensery.augmentation import siamese
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.methods.gradient_distance import DISTANCES, layerwise
from condensery.methods.gradient_matching import Matcher
from condensery.methods.matching_draws import TRANSFORMS
from condensery.run import Run
from tests import problems
from tests.interrupted import Stopped, Stopping

CONFIG = Path(__file__).parents[1] / "config"
CPU = torch.device("cpu")


def problem(**changes):
    """Return a small problem for gradient matching with some fields and parameters changed."""
    parameters = {
        "iterations": 2,
        "outer_loop": 3,
        "inner_loop": 2,
        "lr_img": 0.1,
        "momentum": 0.5,
        "lr_net": 0.01,
        "batch_real": 8,
        "batch_net": 4,
        "init": "real",
        "distance": "layerwise",
        "strategy": "dataset",
        "transform": "shared",
    }
    return problems.problem(**(changes | {"parameters": parameters | changes.get("parameters", {})}))


# ---- a plain version, written from the papers


def plain_distance(kind, real, synthetic):
    """Return a distance, computed for one output unit after the other."""
    if kind == "layerwise":
        total = 0.0
        for a, b in zip(real, synthetic, strict=True):
            if a.dim() == 1:
                continue
            for unit in range(len(a)):
                x, y = a[unit].reshape(-1), b[unit].reshape(-1)
                total = total + 1 - x @ y / (x.norm() * y.norm() + 1e-6)
        return total
    if kind.endswith("-conv"):
        real, synthetic = ([g for g in gradients if g.dim() == 4] for gradients in (real, synthetic))
    x, y = (torch.cat([g.reshape(-1) for g in gradients]) for gradients in (real, synthetic))
    if kind == "cos":
        return 1 - x @ y / (x.norm() * y.norm() + 1e-6)
    return (x - y).abs().sum() if kind == "l1-conv" else ((x - y) ** 2).sum()


def plain_network(case, iteration, dtype):
    info = case.data.info
    net = networks.build(case.network, channels=info.channels, size=(info.height, info.width), classes=3)
    return networks.initialize(net.to(dtype), streams.generator(case.seed, "network", iteration))


def real_images(case, purpose, address, c, count, dtype):
    pool = case.data.train.indices_of(c)
    order = torch.randperm(len(pool), generator=streams.generator(case.seed, purpose, *address, c))
    return case.data.train.batch(pool[order[:count].numpy()], CPU).to(dtype)


def plain_draws(case, strategy, transform, address, c):
    """Return the augmentations of a class's real and of its synthetic images."""
    size = case.data.info.height, case.data.info.width
    none, one, other = (
        siamese.draw(kind, 1, size, streams.generator(case.seed, purpose, *address, c))
        for kind, purpose in (
            ("none", ""),
            (strategy, "siamese"),
            (strategy, "synthetic-augmentation"),
        )
    )
    return {
        "shared": (one, one),
        "independent": (one, other),
        "real": (one, none),
        "synthetic": (none, one),
    }[transform]


def plain_loss(case, strategy, net, images, iteration, step, transform="shared"):
    """Return the matching loss of all classes at ``images``, in one graph."""
    address, total = (iteration, step), 0.0
    net.train()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        with torch.no_grad():
            net(
                torch.cat(
                    [real_images(case, "statistics", address, c, 16, images.dtype) for c in case.classes]
                )
            )
        for module in norms:
            module.eval()
    for i, c in enumerate(case.classes):
        draws = plain_draws(case, strategy, transform, address, c)
        real = real_images(case, "real", address, c, case.parameters["batch_real"], images.dtype)
        own = images[i * case.ipc : (i + 1) * case.ipc]
        gradients = [
            torch.autograd.grad(
                F.cross_entropy(net(siamese.apply(x, draw)), torch.full((len(x),), c)),
                list(net.parameters()),
                create_graph=True,
            )
            for x, draw in zip((real, own), draws, strict=True)
        ]
        total = total + plain_distance(
            case.parameters["distance"], [g.detach() for g in gradients[0]], gradients[1]
        )
    return total


def plain_run(case, strategy):
    """DC Algorithm 1 with PyTorch's own optimizers; returns the images."""
    parameters = case.parameters
    images = nn.Parameter(methods.get("random").condense(case).images.clone())
    pixels = torch.optim.SGD([images], lr=parameters["lr_img"], momentum=parameters["momentum"])
    labels = torch.tensor(case.classes).repeat_interleave(case.ipc)
    for iteration in range(parameters["iterations"]):
        net = plain_network(case, iteration, torch.float32)
        optimizer = torch.optim.SGD(net.parameters(), lr=parameters["lr_net"])
        for step in range(parameters["outer_loop"]):
            pixels.zero_grad()
            plain_loss(case, strategy, net, images, iteration, step).backward()
            pixels.step()
            if step == parameters["outer_loop"] - 1:
                break
            net.train()
            for epoch in range(parameters["inner_loop"]):
                stream = streams.generator(case.seed, "shuffle", iteration, step, epoch)
                order = torch.randperm(len(images), generator=stream)
                for number, rows in enumerate(order.split(parameters["batch_net"])):
                    stream = streams.generator(case.seed, "augmentation", iteration, step, epoch, number)
                    draw = siamese.draw(strategy, len(rows), images.shape[-2:], stream)
                    optimizer.zero_grad()
                    F.cross_entropy(net(siamese.apply(images[rows].detach(), draw)), labels[rows]).backward()
                    optimizer.step()
    return images.detach()


# ---- distances


def test_layerwise_is_a_sum_over_output_units():
    """Conv weight (2, 1, 1, 2): cosines 0 and -1. Linear weight (1, 2): 3/5. Layer norm (1, 1, 2): 1."""
    conv = torch.tensor([[1.0, 0.0], [2.0, 0.0]]).view(2, 1, 1, 2), torch.tensor([[0.0, 3.0], [-1.0, 0.0]])
    real = [conv[0], torch.tensor([[3.0, 4.0]]), torch.tensor([[[2.0, 2.0]]])]
    synthetic = [conv[1].view(2, 1, 1, 2), torch.tensor([[1.0, 0.0]]), torch.tensor([[[5.0, 5.0]]])]
    assert layerwise(real, synthetic).item() == pytest.approx(1 + 2 + 0.4 + 0, abs=1e-5)


@pytest.mark.parametrize(("kind", "ignores"), [("layerwise", True), ("mse", False), ("cos", False)])
def test_parameters_of_one_dimension_count_in_all_distances_but_the_layerwise(kind, ignores):
    generator = torch.Generator().manual_seed(0)
    real, synthetic = ([torch.randn(s, generator=generator) for s in ((4, 3), (4,))] for _ in range(2))
    bias = synthetic[1].clone().requires_grad_()
    changed = [synthetic[0], torch.randn(4, generator=generator)]
    distance = DISTANCES[kind]
    assert (distance(real, changed) == distance(real, synthetic)).item() is ignores
    weight = synthetic[0].requires_grad_()
    (slope,) = torch.autograd.grad(distance(real, [weight, bias]), bias, materialize_grads=True)
    assert (slope.abs().max() == 0).item() is ignores


@pytest.mark.parametrize("kind", DISTANCES)
def test_a_gradient_that_vanishes_leaves_the_distance_finite(kind):
    """Such as the gradient of a unit whose ReLU is never active."""
    real = [torch.zeros(2, 3, 1, 1)]
    units = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    synthetic = [units.view(2, 3, 1, 1).requires_grad_()]
    distance = DISTANCES[kind](real, synthetic)
    (slope,) = torch.autograd.grad(distance, synthetic)
    assert math.isfinite(distance.item())
    assert slope.isfinite().all()


# ---- one step


@pytest.mark.parametrize(
    ("kind", "network"),
    [(kind, network) for kind in DISTANCES for network in ("convnet-d2-w16", "convnet-d2-w16-bn")]
    + [(kind, "mlp") for kind in DISTANCES if not kind.endswith("-conv")],
)
@pytest.mark.parametrize(
    ("strategy", "memory_bytes"), [("none", 10**9), (problems.STRATEGY, 1)], ids=["dc", "dsa image by image"]
)
def test_gradient_is_that_of_a_plain_version(network, kind, strategy, memory_bytes):
    device = dataclasses.replace(problems.CPU, memory_bytes=memory_bytes)
    case = problem(network=network, device=device, parameters={"distance": kind})
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    matcher = Matcher(case, strategy)
    matcher.network.double()
    for address in ((0, 0), (3, 2)):
        matcher.renew(address[0])
        gradient, loss = matcher.gradient(images.detach(), *address)
        expected = plain_loss(
            case, strategy, plain_network(case, address[0], torch.float64), images, *address
        )
        (expected_gradient,) = torch.autograd.grad(expected, images)
        torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_each_side_is_augmented_as_the_transform_says(transform):
    case = problem(parameters={"transform": transform})
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    matcher = Matcher(case, "crop_scale", methods.get("dsa").transform(case))
    matcher.network.double()
    matcher.renew(0)
    gradient, loss = matcher.gradient(images.detach(), 0, 0)
    net = plain_network(case, 0, torch.float64)
    expected = plain_loss(case, "crop_scale", net, images, 0, 0, transform)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, images)[0], rtol=1e-8, atol=1e-12)


def test_transforms_differ():
    """Over the steps of a run, so that some draws of a family have an effect."""
    runs = [
        methods.get("dsa").condense(problem(parameters={"transform": transform})).images
        for transform in [*TRANSFORMS, "none"]
    ]
    assert not any(torch.equal(a, b) for i, a in enumerate(runs) for b in runs[:i])


def test_dsa_without_a_transform_is_gradient_matching_from_real_images():
    plain, none = (
        methods.get(name).condense(problem(parameters={"transform": "none"})).images for name in ("dc", "dsa")
    )
    assert torch.equal(plain, none)


def test_dsa_takes_the_families_that_it_is_given():
    case = problem(augmentation="none", parameters={"strategy": "crop_scale"})
    images = methods.get("dsa").condense(case).images
    assert torch.equal(images, methods.get("dsa").condense(problem(augmentation="crop_scale")).images)
    assert not torch.equal(images, methods.get("dsa").condense(problem()).images)


@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("norm", ["in", "bn"])
def test_gradient_is_the_slope_of_the_loss(kind, norm):
    """Central differences in float64, along random directions, through a smooth network."""
    case = problem(network=f"convnet-d2-w8-swish-{norm}", parameters={"distance": kind})
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 16, 16, generator=generator).double()
    matcher = Matcher(case, problems.STRATEGY)
    matcher.network.double()

    def loss(at):
        matcher.renew(1)
        return matcher.gradient(at, 1, 0)[1]

    matcher.renew(1)
    gradient, _ = matcher.gradient(images, 1, 0)
    for _ in range(3):
        direction = torch.randn(images.shape, generator=generator).double()
        difference = (loss(images + 1e-5 * direction) - loss(images - 1e-5 * direction)) / 2e-5
        torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-5, atol=1e-9)


def test_a_class_does_not_depend_on_the_others_of_its_step():
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    together = Matcher(problem(), problems.STRATEGY)
    together.renew(0)
    whole, total = together.gradient(images, 0, 0)
    losses = []
    for c in (2, 0, 1):
        alone = Matcher(problem(classes=(c,)), problems.STRATEGY)
        alone.renew(0)
        own = slice(2 * c, 2 * c + 2)
        gradient, loss = alone.gradient(images[own], 0, 0)
        torch.testing.assert_close(gradient, whole[own], rtol=1e-5, atol=1e-7)
        losses.append(loss)
    torch.testing.assert_close(sum(losses), total)


def test_bfloat16_points_where_float32_does():
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    gradients = []
    for precision in ("fp32", "bf16"):
        matcher = Matcher(
            problem(device=dataclasses.replace(problems.CPU, precision=precision)), problems.STRATEGY
        )
        matcher.renew(0)
        gradient, loss = matcher.gradient(images, 0, 0)
        assert gradient.dtype is loss.dtype is torch.float32
        gradients.append(gradient.flatten())
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98
    assert not torch.equal(*gradients)


def test_batch_norm_is_fixed_while_matching_and_free_while_training():
    case = problem(network="convnet-d2-w16-bn")
    matcher = Matcher(case, "none")
    matcher.renew(0)
    norm = next(m for m in matcher.network.modules() if isinstance(m, nn.BatchNorm2d))
    seen = []
    norm.register_forward_hook(lambda module, inputs, _: seen.append((module.training, len(inputs[0]))))
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    matcher.gradient(images, 0, 0)
    # 16 real images of all classes (15 of the smallest), then in each class the real and the synthetic ones.
    sizes = [min(16, len(case.data.train.indices_of(c))) for c in case.classes]
    assert seen == [(True, sum(sizes))] + [(False, 8), (False, 2)] * 3
    first = torch.cat([real_images(case, "statistics", (0, 0), c, 16, torch.float32) for c in case.classes])
    conv = next(m for m in matcher.network.modules() if isinstance(m, nn.Conv2d))
    maps = conv(first).detach()
    torch.testing.assert_close(norm.running_mean, 0.1 * maps.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * maps.var((0, 2, 3)))
    seen.clear()
    matcher.train(images, 0, 0)
    assert seen == [(True, 4), (True, 2)] * 2  # batches of 4, the partial one kept, 2 epochs
    assert not torch.allclose(norm.running_mean, 0.1 * maps.mean((0, 2, 3)))


# ---- whole runs


@pytest.mark.parametrize(("name", "strategy"), [("dc", "none"), ("dsa", problems.STRATEGY)])
@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d2-w16-bn"])
def test_a_run_is_that_of_a_plain_version(name, strategy, network):
    case = problem(network=network)
    start = methods.get("random").condense(case).images
    condensed, expected = methods.get(name).condense(case).images, plain_run(case, strategy)
    assert (expected - start).abs().max() > 0.01
    torch.testing.assert_close(condensed - start, expected - start, rtol=1e-3, atol=1e-3)


def test_the_network_is_trained_after_every_step_but_the_last(monkeypatch):
    def images(**parameters):
        return methods.get("dsa").condense(problem(parameters=parameters)).images

    assert not torch.equal(images(outer_loop=2), images(outer_loop=2, lr_net=0.5))
    trained = []
    monkeypatch.setattr(
        Matcher, "train", lambda self, images, iteration, step: trained.append((iteration, step))
    )
    images(outer_loop=3)
    assert trained == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_condensing_brings_the_gradients_closer(name):
    method, changes = methods.get(name), {"init": "noise", "batch_real": 20}
    noise, learned = (
        method.condense(problem(parameters=changes | {"iterations": count})).images for count in (0, 10)
    )
    losses = []
    for images in (noise, learned):
        matcher = Matcher(problem(parameters=changes), method.strategy(problem()))
        for unseen in range(1000, 1004):
            matcher.renew(unseen)
            losses.append(matcher.gradient(images, unseen, 0)[1])
    assert sum(losses[4:]) < 0.9 * sum(losses[:4])


@pytest.mark.parametrize("name", ["dc", "dsa"])
@pytest.mark.parametrize("last", [1, 3])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, name: str, last: int):
    case = problem(network="convnet-d2-w16-bn", parameters={"iterations": 4})
    method = methods.get(name)
    method.condense(case).save(tmp_path / "undisturbed.safetensors")
    with pytest.raises(Stopped):
        method.condense(case, run=Run(Stopping(tmp_path / "state", last)))
    resumed = Stopping(tmp_path / "state", -1)
    method.condense(case, run=Run(resumed)).save(tmp_path / "resumed.safetensors")
    assert resumed.saved == list(range(last + 1, 5))  # it resumed after the interruption
    assert (tmp_path / "resumed.safetensors").read_bytes() == (
        tmp_path / "undisturbed.safetensors"
    ).read_bytes()


# ---- configuration

LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10), 100: (100, 2)}


@pytest.mark.parametrize("name", ["dc", "dsa"])
@pytest.mark.parametrize("ipc", [*LOOPS, 7])
def test_parameters_are_the_published_ones(name, ipc):
    outer, inner = LOOPS.get(ipc, (None, None))
    assert load_config(CONFIG, "paper").parameters("cifar10", name, "convnet", ipc) == {
        "iterations": 1000,
        "outer_loop": outer,
        "inner_loop": inner,
        "lr_img": 0.1,
        "momentum": 0.5,
        "lr_net": 0.01,
        "batch_real": 256,
        "batch_net": 256,
        "init": {"dc": "noise", "dsa": "real"}[name],
        "distance": "layerwise",
    } | ({"strategy": "dataset", "transform": "shared"} if name == "dsa" else {})


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_exceptions_are_the_published_ones(name):
    config = load_config(CONFIG, "paper")
    loops = [config.parameters("cifar100", name, "convnet", ipc) for ipc in (10, 50)]
    assert [(p["outer_loop"], p["inner_loop"]) for p in loops] == [(10, 50), (10, 10)]
    assert config.parameters("mnist", name, "mlp", 1)["lr_img"] == 0.01


def test_a_size_without_loops_says_what_to_set():
    config = load_config(CONFIG, "paper")
    parameters = config.parameters("cifar10", "dsa", "convnet", 7)
    with pytest.raises(CondenseryError, match=r"outer_loop for 7 images per class: set .* in config/methods"):
        methods.get("dsa").condense(problem(ipc=7, parameters=parameters))
    with pytest.raises(CondenseryError, match="inner_loop for 7 images per class"):
        methods.get("dsa").condense(problem(ipc=7, parameters=parameters | {"outer_loop": 3}))


def test_dsa_without_an_augmentation_is_refused():
    with pytest.raises(CondenseryError, match="patterns has no augmentation"):
        methods.get("dsa").condense(problem(augmentation="none"))


def test_dc_does_not_augment():
    augmented, plain = (
        methods.get("dc").condense(problem(augmentation=a)) for a in (problems.STRATEGY, "none")
    )
    assert torch.equal(augmented.images, plain.images)


def test_noise_is_standard_normal_and_each_seed_has_its_own():
    def images(seed):
        case = problem(
            ipc=40,
            seed=seed,
            parameters={"iterations": 0, "init": "noise"},
            data=problems.real_data(per_class=60),
        )
        return methods.get("dc").condense(case).images

    assert abs(images(0).mean()) < 0.01
    assert abs(images(0).std() - 1) < 0.01
    assert not torch.allclose(images(0), images(1))
