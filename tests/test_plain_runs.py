"""Whole runs of DM's descendants against one loop in float64, written from their papers' definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from condensery import methods, networks, streams
from condensery.augmentation import siamese
from condensery.methods import Problem
from condensery.pool.store import Member, Pool, load_weights
from tests import problems

MEAN, STD = 0.5, 0.25  # of the data of `problems`
SIZE = (16, 16)

Loss = Callable[[list[Tensor]], Tensor]
"""From the stored images of each class, normalized, to the loss of each class."""


def plain_run(
    case: Problem,
    losses: Callable[[int], Iterator[Loss]],
    *,
    unit: bool = False,
    optimizer: Callable[[nn.Parameter], torch.optim.Optimizer] | None = None,
    heed: Callable[[list[torch.optim.Optimizer], Tensor], None] | None = None,
) -> Tensor:
    """Return the images, (N, C, H, W) normalized, after all iterations; every class has its own optimizer.

    Args:
        case: the condensation.
        losses: those of an iteration, each of which is followed by a step of the pixels.
        unit: whether pixels are from 0 to 1, are cut to that before an iteration, and have a rate per image.
        optimizer: of the pixels of a class; default: SGD with the values of the case.
        heed: is shown the loss of each class after each iteration.
    """
    parameters, (shift, scale) = case.parameters, (MEAN, STD) if unit else (0.0, 1.0)
    rate = parameters["lr_img"] * (case.ipc if unit else 1)
    start = methods.get("random").condense(case).images.double().split(case.ipc)
    pixels = [nn.Parameter(part * scale + shift) for part in start]
    if optimizer is None:
        steppers = [torch.optim.SGD([part], rate, momentum=parameters["momentum"]) for part in pixels]
    else:
        steppers = [optimizer(part) for part in pixels]
    for step in range(parameters["iterations"]):
        if unit:
            with torch.no_grad():
                for part in pixels:
                    part.clamp_(0, 1)
        total = torch.zeros(len(pixels), dtype=torch.float64)
        for loss in losses(step):
            of_classes = loss([(part - shift) / scale for part in pixels])
            for stepper in steppers:
                stepper.zero_grad()
            of_classes.sum().backward()
            for stepper in steppers:
                stepper.step()
            total += of_classes.detach()
        if heed:
            heed(steppers, total)
    return torch.cat([(part.detach() - shift) / scale for part in pixels])


def new_network(case: Problem) -> networks.Network:
    classes = len(case.data.info.classes)
    return networks.build(case.network, channels=3, size=SIZE, classes=classes).double().train()


def random_network(case: Problem, purpose: str, number: int) -> networks.Network:
    return networks.initialize(new_network(case), streams.generator(case.seed, purpose, number))


def real_images(case: Problem, step: int, c: int) -> Tensor:
    pool = case.data.train.indices_of(c)
    order = torch.randperm(len(pool), generator=streams.generator(case.seed, "real", step, c))
    rows = pool[order[: case.parameters["batch_real"]].numpy()]
    return case.data.train.batch(rows, torch.device("cpu")).double()


def first_images(case: Problem, step: int, c: int) -> Tensor:
    rows = [row for row, label in enumerate(case.data.train.labels) if label == c]
    return case.data.train.batch(rows[: case.parameters["batch_real"]], torch.device("cpu")).double()


def augmented(case: Problem, images: Tensor, step: int, c: int, purpose: str = "siamese") -> Tensor:
    strategy = case.parameters.get("strategy", case.augmentation)
    stream = streams.generator(case.seed, purpose, step, c)
    return siamese.apply(images, siamese.draw(strategy, 1, SIZE, stream))


def quarters(stored: Tensor) -> Tensor:
    """Return the parts of images that hold 2 x 2 each, enlarged."""
    half = SIZE[0] // 2
    parts = [stored[..., y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
    return F.interpolate(torch.cat(parts), scale_factor=2, mode="bilinear", align_corners=False)


def mean_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    return (real.mean(0) - synthetic.mean(0)).square().sum()


def matched(
    case: Problem,
    step: int,
    features: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    of_class: Callable[[Problem, int, int], Tensor] = real_images,
) -> Loss:
    """Return the distance of the features of each class's real images and of its enlarged ones."""

    def loss(parts: list[Tensor]) -> Tensor:
        found = []
        for c, part in zip(case.classes, parts, strict=True):
            with torch.no_grad():
                real = features(augmented(case, of_class(case, step, c), step, c))
            found.append(distance(real, features(augmented(case, quarters(part), step, c))))
        return torch.stack(found)

    return loss


def assert_moved_alike(case: Problem, name: str, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Hold a method's images to the expected ones, within a small share of how far those have moved."""
    start = methods.get("random").condense(case).images
    found = methods.get(name).condense(case).images
    far = (expected - start).norm()
    assert far > 0.1 * math.sqrt(start.numel()) * STD
    assert (found - expected).norm() < tolerance * far


# ---- DataDAM


@pytest.mark.parametrize("network", ["convnet-w16", "convnet-w16-bn"])
@pytest.mark.parametrize("power", [1, 4])
def test_datadam(network: str, power: int) -> None:
    """The networks see all classes at once, as batch norm notices, and each class its own augmentation."""
    parameters = {"power": power, "feature_weight": 0.2, "lr_img": 0.2, "iterations": 3}
    case = problems.problem(network=network, parameters=parameters)

    def see(net: networks.Network, classes: list[Tensor]) -> list[tuple[Tensor, ...]]:
        """Return the mean attention of each layer but the last, and the mean features, of each class."""
        maps: list[Tensor] = []
        hooks = [
            module.register_forward_hook(lambda module, inputs, output: maps.append(output.clone()))
            for module in net.modules()
            if isinstance(module, nn.ReLU)
        ]
        embedded = net.embed(torch.cat(classes))
        for hook in hooks:
            hook.remove()
        assert len(maps) == 3
        parts = [embedded]
        for each in maps[:-1]:
            sums = (each.abs() ** power).sum(1).flatten(1)
            parts.append(sums / sums.square().sum(1, keepdim=True).sqrt())
        sizes = [len(images) for images in classes]
        return [
            tuple(rows.mean(0) for rows in group)
            for group in zip(*(p.split(sizes) for p in parts), strict=True)
        ]

    def losses(step: int) -> Iterator[Loss]:
        net = random_network(case, "network", step)

        def loss(parts: list[Tensor]) -> Tensor:
            with torch.no_grad():
                real = see(net, [augmented(case, real_images(case, step, c), step, c) for c in case.classes])
            own = see(
                net, [augmented(case, part, step, c) for c, part in zip(case.classes, parts, strict=True)]
            )
            found = []
            for (r, *of_real), (s, *of_own) in zip(real, own, strict=True):
                attention = sum((a - b).square().sum() for a, b in zip(of_real, of_own, strict=True))
                found.append(100 * (attention + 0.2 * (r - s).square().sum()))
            return torch.stack(found)

        yield loss

    assert_moved_alike(case, "datadam", plain_run(case, losses))


# ---- M3D


def five_kernels(real: Tensor, synthetic: Tensor) -> Tensor:
    """Return the biased discrepancy, pair by pair."""
    both = torch.cat([synthetic, real])
    squares = (both[:, None] - both[None]).square().sum(-1)
    n, count = len(synthetic), len(both)
    scale = squares.detach().sum() / (count * (count - 1))
    k = sum(torch.exp(-squares / (m * scale)) for m in (1 / 4, 1 / 2, 1, 2, 4))
    return k[:n, :n].mean() - 2 * k[:n, n:].mean() + k[n:, n:].mean()


def test_m3d() -> None:
    own = {"kernel": "gaussian", "network_steps": 2, "strategy": "color+crop+cutout", "formation": 2}
    case = problems.problem(parameters=own | {"iterations": 5, "lr_img": 0.1, "momentum": 0.0})

    def losses(step: int) -> Iterator[Loss]:
        yield matched(case, step, random_network(case, "network", step // 2).embed, five_kernels)

    assert_moved_alike(case, "m3d", plain_run(case, losses, unit=True))


# ---- DANCE and NCFM


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return problems.pairs_file(tmp_path_factory.mktemp("pairs"), problems.real_data())


def drawn_pair(case: Problem, step: int) -> tuple[Member, Member, float]:
    found = Pool.open(case.trained["pairs"], "patterns", case.network).pairs()
    stream = streams.generator(case.seed, "pair", step)
    initial, trained = found[int(torch.randint(len(found), (), generator=stream))]
    return initial, trained, torch.rand((), generator=stream).item()


def pair_losses(
    case: Problem,
    step: int,
    distance: Callable[[Tensor, Tensor], Tensor],
    of_class: Callable[[Problem, int, int], Tensor] = real_images,
) -> Iterator[Loss]:
    """Yield the loss of the features on the way between two networks, and that of calibration in one."""
    initial, trained, share = drawn_pair(case, step)
    between, end = new_network(case), new_network(case)
    place = share * initial.weights().double() + (1 - share) * trained.weights().double()
    load_weights(between, place)
    load_weights(end, trained.weights().double())
    yield matched(case, step, between.embed, distance, of_class)

    def calibration(parts: list[Tensor]) -> Tensor:
        found = []
        for c, part in zip(case.classes, parts, strict=True):
            logits = end(augmented(case, quarters(part), step, c, "calibration"))
            found.append(-logits.log_softmax(1)[:, c].mean())
        return torch.stack(found)

    yield calibration


DANCE = {"strategy": "color+crop+cutout", "formation": 2, "momentum": 0.0, "iterations": 4}


def test_dance(pairs: Path) -> None:
    case = problems.problem(parameters=DANCE | {"lr_img": 0.02}, trained={"pairs": [pairs]})
    assert_moved_alike(
        case, "dance", plain_run(case, lambda step: pair_losses(case, step, mean_distance), unit=True)
    )


@pytest.mark.parametrize(("real", "optimizer"), [("random", "adamw"), ("first", "sgd")])
def test_ncfm(pairs: Path, real: str, optimizer: str) -> None:
    """With an optimizer for each class, whose rate halves on a plateau of the loss of this class.

    AdamW turns the rounding of a small gradient into a whole step, so that it needs more tolerance.
    """
    rate, tolerance = {"adamw": (0.02, 1e-2), "sgd": (0.001, 1e-3)}[optimizer]
    own: dict[str, Any] = {"frequencies": 48, "amplitude": 0.3, "real": real, "optimizer": optimizer}
    own |= {"weight_decay": 0.1, "patience": 1, "lr_img": rate, "iterations": 7}
    case = problems.problem(parameters=DANCE | own, trained={"pairs": [pairs]}, seed=1)

    def losses(step: int) -> Iterator[Loss]:
        frequencies = torch.randn(
            48, 256, generator=streams.generator(case.seed, "frequencies", step)
        ).double()

        def distance(real: Tensor, synthetic: Tensor) -> Tensor:
            p, q = (
                torch.exp(1j * (z / z.norm(dim=1, keepdim=True)) @ (frequencies.T + 0j)).mean(0)
                for z in (real, synthetic)
            )
            amplitude = (p.abs() - q.abs()).square()
            phase = 2 * (p.abs() * q.abs() - (p * q.conj()).real)
            return 300 * (0.3 * amplitude + 0.7 * phase).sqrt().mean()

        yield from pair_losses(case, step, distance, first_images if real == "first" else real_images)

    plateaus: dict[int, Any] = {}

    def heed(steppers: list[torch.optim.Optimizer], total: Tensor) -> None:
        for number, (stepper, loss) in enumerate(zip(steppers, total.tolist(), strict=True)):
            kind = torch.optim.lr_scheduler.ReduceLROnPlateau
            plateaus.setdefault(number, kind(stepper, factor=0.5, patience=1)).step(loss)

    def new(part: nn.Parameter) -> torch.optim.Optimizer:
        if optimizer == "sgd":
            return torch.optim.SGD([part], lr=rate * case.ipc)
        return torch.optim.AdamW([part], lr=rate, weight_decay=0.1)

    expected = plain_run(case, losses, unit=True, optimizer=new, heed=heed)
    rates = [plateau.optimizer.param_groups[0]["lr"] for plateau in plateaus.values()]
    assert min(rates) < max(rates)
    assert_moved_alike(case, "ncfm", expected, tolerance)


# ---- IDM


def test_idm() -> None:
    """Accuracies are reset, a network appended, one chosen, the pixels moved, and two networks trained."""
    own = {"formation": 2, "cross_entropy": 0.05, "lr_img": 0.5, "momentum": 0.0, "iterations": 6}
    own |= {"networks": 5, "network_steps": 2, "train_steps": 3, "batch_net": 16, "reset_steps": 4}
    case = problems.problem(parameters=own)
    labels = torch.as_tensor(case.data.train.labels)
    queue: list[dict[str, Any]] = []
    drawn = 0

    def append() -> None:
        nonlocal drawn
        net = random_network(case, "queue-network", drawn)
        sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
        queue.append({"number": drawn, "net": net, "sgd": sgd, "right": 0, "seen": 0})
        drawn += 1

    def train(step: int) -> None:
        stream = streams.generator(case.seed, "queue-training", step)
        for position in torch.randperm(len(queue), generator=stream)[:2].tolist():
            entry = queue[position]
            for number in range(3):
                stream = streams.generator(case.seed, "queue-batch", step, entry["number"], number)
                rows = torch.randperm(len(labels), generator=stream)[:16]
                logits = entry["net"](case.data.train.batch(rows, torch.device("cpu")).double())
                entry["right"] += (logits.argmax(1) == labels[rows]).sum().item()
                entry["seen"] += 16
                entry["sgd"].zero_grad()
                F.cross_entropy(logits, labels[rows]).backward()
                entry["sgd"].step()

    for _ in range(3):
        append()
    weights = []

    def losses(step: int) -> Iterator[Loss]:
        if step == 4:
            for entry in queue:
                entry["right"] = entry["seen"] = 0
        if step % 2 == 0:
            if len(queue) == 5:
                del queue[0]
            append()
        stream = streams.generator(case.seed, "queue-choice", step)
        entry = queue[int(torch.randint(len(queue), (), generator=stream))]
        percent = 100 * entry["right"] / entry["seen"] if entry["seen"] else 0.0
        weights.append(percent)
        features = matched(case, step, entry["net"].embed, mean_distance)

        def loss(parts: list[Tensor]) -> Tensor:
            found = []
            for c, part in zip(case.classes, parts, strict=True):
                logits = entry["net"](augmented(case, quarters(part), step, c))
                found.append(-logits.log_softmax(1)[:, c].mean())
            return features(parts) + 0.05 * percent * torch.stack(found)

        yield loss
        train(step)

    expected = plain_run(case, losses)
    assert any(weight > 0 for weight in weights)
    assert_moved_alike(case, "idm", expected)
