"""Generators: their parts against formulas; seeds, sizes and resuming."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from condensery import generators, streams
from condensery.data import DataInfo, RealData, Split
from condensery.errors import CondenseryError
from condensery.generators import KINDS, Setting, biggan, discriminator, layers, vae
from condensery.generators.base import RealImages, random_labels
from condensery.run import Checkpoint, Run
from tests import problems

PARAMETERS = {
    "gmmn": {"iterations": 6, "batch": 24, "lr": 0.001, "noise": 5, "width": 128},
    "vae": {"iterations": 6, "batch": 8, "lr": 0.001, "noise": 5, "width": 4},
    "biggan": {
        "iterations": 4,
        "steps_net": 2,
        "batch": 8,
        "lr": 0.0002,
        "noise": 5,
        "width": 8,
        "ema": 0.99,
        "strategy": "color_crop_cutout",
    },
}


def setting(kind: str, data=None, **changes) -> Setting:
    data = data or problems.real_data(size=8)
    classes = changes.pop("classes", tuple(range(len(data.info.classes))))
    return Setting(data, classes, PARAMETERS[kind] | changes, 0, problems.CPU)


def images(kind: str, chosen: Setting, weights: dict[str, torch.Tensor], count: int = 3) -> torch.Tensor:
    generator = generators.build(kind, chosen.data.info, chosen.parameters, weights, chosen.device)
    return generators.sample(generator, chosen.classes, count, chosen.seed, chosen.device)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (64, 3)])
def test_images_have_the_size_and_the_range_of_real_ones(kind: str, size: int, channels: int) -> None:
    chosen = setting(kind, problems.real_data(size=size, channels=channels), iterations=1, steps_net=1)
    generated = images(kind, chosen, generators.train(kind, chosen))
    assert generated.shape == (9, channels, size, size)
    assert generated.dtype == torch.float32
    # Intensities of [0, 1], normalized with mean 0.5 and deviation 0.25.
    assert -2 <= generated.min() < generated.max() <= 2
    assert generated.std() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_training_is_one_that_was_never_stopped(kind: str, tmp_path) -> None:
    whole = generators.train(kind, setting(kind))
    state = Checkpoint(tmp_path / "state", "test", every_seconds=0)
    generators.train(kind, setting(kind, iterations=3), run=Run(state))
    assert state.load()[0] == 3
    resumed = generators.train(kind, setting(kind), run=Run(state))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_depends_on_the_global_seed(kind: str) -> None:
    generated = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        generated.append(
            images(kind, setting(kind, iterations=2), generators.train(kind, setting(kind, iterations=2)))
        )
    assert torch.equal(*generated)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_is_sampled_alike_whatever_the_others(kind: str) -> None:
    chosen = setting(kind, iterations=1)
    weights = generators.train(kind, chosen)
    generator = generators.build(kind, chosen.data.info, chosen.parameters, weights, chosen.device)
    whole = generators.sample(generator, (0, 1, 2), 4, 0, problems.CPU)
    alone = generators.sample(generator, (2,), 4, 0, problems.CPU)
    torch.testing.assert_close(whole[8:], alone, rtol=0, atol=1e-6)
    assert len(torch.unique(whole.flatten(1), dim=0)) == 12


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gmmn", {"iterations": 150, "batch": 60}),
        ("vae", {"iterations": 150, "batch": 32, "width": 8}),
        pytest.param(
            "biggan",
            {"iterations": 150, "steps_net": 1, "batch": 32, "width": 16, "lr": 0.002, "ema": 0.9},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_training_brings_the_classes_closer_to_the_real_ones(kind: str, changes: dict) -> None:
    chosen = setting(kind, halves(), **changes)
    untrained = KINDS[kind](chosen).result.state_dict()
    far, near = (
        distance(images(kind, chosen, weights, count=20), chosen)
        for weights in (untrained, generators.train(kind, chosen))
    )
    assert near < 0.7 * far


def test_a_discriminator_that_has_died_ends_the_training() -> None:
    chosen = setting("biggan", problems.real_data(size=32))
    training = biggan.Training(chosen)
    training.step(0)
    training.check()
    with torch.no_grad():
        training.discriminator.blocks[-1].two.bias.fill_(-1e9)  # every ReLU after it gives 0
    training.step(1)
    with pytest.raises(CondenseryError, match="lower its `lr`"):
        training.check()


def halves() -> RealData:
    """Return noisy images in which the bright half depends on the class."""
    rng = np.random.default_rng(0)
    patterns = np.full((3, 1, 8, 8), 60.0)
    patterns[0, :, :4] = patterns[1, :, :, :4] = patterns[2, :, 4:] = 190
    labels = np.arange(60) % 3
    pixels = patterns[labels] + rng.normal(0, 20, (60, 1, 8, 8))
    info = DataInfo("halves", 1, 8, 8, ("top", "left", "bottom"), (0.5,), (0.25,))
    train = Split(np.clip(pixels, 0, 255).astype(np.uint8), labels, info)
    return RealData(info, train, train)


def distance(generated: torch.Tensor, chosen: Setting) -> float:
    """Return the mean squared distance between the class means of generated and of real images."""
    train = chosen.data.train
    total = 0.0
    for c, own in zip(chosen.classes, generated.chunk(len(chosen.classes)), strict=True):
        real = train.batch(train.indices_of(c), torch.device("cpu"))
        total += (own.mean(0) - real.mean(0)).square().mean().item()
    return total


def test_real_batches_and_labels_are_of_the_classes_asked_for() -> None:
    chosen = setting("vae", classes=(0, 2))
    real = RealImages(chosen)
    batch, labels = real.batch(200, 0)
    assert sorted(labels.unique().tolist()) == [0, 2]
    train = chosen.data.train
    stored = {
        train.batch(torch.tensor([row]), torch.device("cpu")).numpy().tobytes(): train.labels[row]
        for row in range(len(train))
    }
    assert [stored[image.numpy().tobytes()] for image in batch[:20]] == labels[:20].tolist()
    assert not torch.equal(batch, real.batch(200, 1)[0])
    of_two = real.of_classes([2], 5, 0)
    assert [stored[image.numpy().tobytes()] for image in of_two[0]] == [2] * 5
    drawn = random_labels((0, 2), 4000, streams.generator(0, "test"))
    assert sorted(drawn.unique().tolist()) == [0, 2]
    assert (drawn == 2).double().mean().item() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(4000))


# ---- the parts


@pytest.mark.parametrize(
    "layer", [layers.SpectralConv2d(3, 6, 3), layers.SpectralLinear(7, 4), layers.SpectralEmbedding(5, 6)]
)
def test_spectral_norm_divides_by_the_largest_singular_value(layer: nn.Module) -> None:
    layers.initialize(layer, torch.Generator().manual_seed(0))
    for _ in range(200):
        layer.normalized()
    largest = torch.linalg.svdvals(layer.weight.flatten(1))[0]
    torch.testing.assert_close(layer.normalized() * largest, layer.weight, rtol=1e-4, atol=1e-6)
    layer.eval()
    before = layer.u.clone()
    layer.normalized()
    assert torch.equal(layer.u, before)


def test_the_slope_of_spectral_norm_is_that_of_the_largest_singular_value() -> None:
    layer = layers.SpectralLinear(5, 4).double()
    layers.initialize(layer, torch.Generator().manual_seed(0))
    for _ in range(500):
        layer.normalized()
    factors = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)).double()
    (slope,) = torch.autograd.grad((factors * layer.normalized()).sum(), layer.weight)
    plain = layer.weight.detach().requires_grad_()
    (expected,) = torch.autograd.grad((factors * plain / torch.linalg.svdvals(plain)[0]).sum(), plain)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-8)


def test_conditional_batch_norm_is_batch_norm_with_the_scale_of_the_class() -> None:
    norm = layers.ConditionalBatchNorm(2, 3)
    layers.initialize(norm, torch.Generator().manual_seed(0))
    maps, labels = (
        torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(1)),
        torch.tensor([0, 1, 1, 2]),
    )
    plain = nn.functional.batch_norm(maps, None, None, training=True)
    torch.testing.assert_close(norm(maps, labels), plain)
    with torch.no_grad():
        norm.scale.weight[1], norm.shift.weight[1] = 3.0, 0.5
    torch.testing.assert_close(norm(maps, labels)[1:3], 3 * plain[1:3] + 0.5)
    torch.testing.assert_close(norm(maps, labels)[3], plain[3])


def test_hinge_losses_are_their_formulas() -> None:
    real, generated = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 2.0])
    expected = (0 + 0.5 + 2) / 3 + (0 + 1 + 3) / 3
    assert discriminator.discriminator_loss(real, generated).item() == pytest.approx(expected)
    assert discriminator.generator_loss(generated).item() == pytest.approx(1 / 3)


def test_the_average_of_weights_follows_its_formula() -> None:
    current, average = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    weight, mean = 1.0, 0.0  # as batch norm begins
    for step, value in enumerate((4.0, -2.0, 1.0)):
        current.weight.data.fill_(value)
        current.running_mean.fill_(10 * value)
        current.num_batches_tracked.fill_(step)
        biggan.follow(average, current, 0.2)
        weight, mean = 0.2 * weight + 0.8 * value, 0.2 * mean + 0.8 * 10 * value
    torch.testing.assert_close(average.weight.detach(), torch.full((2,), weight))
    torch.testing.assert_close(average.running_mean, torch.full((2,), mean))
    assert average.num_batches_tracked.item() == 2
    assert [biggan.decay(step, 0.999) for step in (0, 10, 10**6)] == [0.1, 0.55, 0.999]


def test_the_loss_of_the_autoencoder_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    x, decoded = torch.randn(2, 4, 1, 3, 3, generator=generator, dtype=torch.float64)
    mean, log_variance = torch.randn(2, 4, 2, generator=generator, dtype=torch.float64)
    terms = vae.loss(x, decoded, mean, log_variance)
    codes = torch.distributions.Normal(mean, (log_variance / 2).exp())
    divergence = torch.distributions.kl_divergence(codes, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(terms["divergence"], divergence.sum(1).mean())
    # The log-likelihood at the best standard deviation, without its constant: 9 numbers per image.
    best = (x - decoded).square().mean().sqrt()
    likelihood = torch.distributions.Normal(decoded, best).log_prob(x).sum((1, 2, 3)).mean()
    constant = 9 / 2 * (1 + math.log(2 * math.pi))
    torch.testing.assert_close(terms["reconstruction"], -likelihood - constant, rtol=1e-4, atol=1e-4)


def test_every_image_is_augmented_by_itself() -> None:
    same = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1, -1)
    changed = biggan.augmented(same, "color_crop", streams.generator(0, "test"))
    assert len(torch.unique(changed.flatten(1), dim=0)) == 6
    assert torch.equal(biggan.augmented(same, "none", streams.generator(0, "test")), same)


def test_the_discriminator_projects_on_the_class() -> None:
    """A score is linear in the features: the difference between classes is the product with their vectors."""
    info = problems.real_data(size=16).info
    judge = discriminator.Discriminator(info, 8)
    layers.initialize(judge, torch.Generator().manual_seed(0))
    judge.eval()
    batch = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    features = judge.blocks(batch).relu().sum((2, 3))
    scores = [judge(batch, torch.full((5,), c)) for c in (0, 1)]
    vectors = judge.classes(torch.tensor([0, 1]))
    torch.testing.assert_close(scores[1] - scores[0], features @ (vectors[1] - vectors[0]))
