"""Options of recipes against plain training with PyTorch, mixing and losses; the named recipes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from condensery import networks, streams
from condensery.augmentation import mixing, siamese
from condensery.augmentation.mixing import Mix
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.experiment.schemas import schema
from condensery.run import Checkpoint, Run
from condensery.synthetic import SyntheticSet
from condensery.training import loop, losses
from condensery.training.descent import Adam
from condensery.training.recipes import Recipe, resolve
from condensery.training.samples import Samples
from condensery.training.schedules import Schedule
from condensery.training.stacking import StackedNetworks
from tests import problems
from tests.reference import training as plain

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "convnet-d1-w8-nonorm"  # every weight has a gradient: Adam amplifies rounding errors of 0
NAMED = ("mtt", "idc", "dance", "ncfm", "frepo", "teacher")
BASE = Recipe("base", 5, 0.02, 0.9, 5e-4, batch=16, augmentation="flip+color_crop")
THIRDS = Schedule("steps", [("2/5", 0.2), (0.8, 0.5)])
OPTIONS = {
    "adam": {"optimizer": "adam", "lr": 1e-3, "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.1},
    "steps": {"schedule": THIRDS},
    "steps, restarted": {"schedule": dataclasses.replace(THIRDS, restart=True)},
    "adamw, steps": {"optimizer": "adamw", "lr": 1e-3, "schedule": THIRDS},
    "constant": {"schedule": Schedule("constant")},
    "cosine": {"schedule": Schedule("cosine", floor=0.1)},
    "warm-up": {"schedule": Schedule("cosine", floor=0.01, warmup=6)},
    "cutmix": {"mix": Mix("cutmix", 0.7, 1.0)},
    "mixup": {"mix": Mix("mixup", 1.0, 0.4)},
    "mse": {"loss": "mse"},
    "mse, cutmix": {"loss": "mse", "mix": Mix("cutmix", 1.0, 1.0)},
    "kl": {"loss": "kl", "temperature": 4.0},
}


def scheduled(recipe, optimizer, steps):
    """Return the schedule of a recipe as a PyTorch scheduler, to be called after every step."""
    lr = torch.optim.lr_scheduler
    match recipe.schedule.kind:
        case "steps":
            # 2/5 and 0.8 of five epochs.
            factors = {2 * steps: 0.2, 4 * steps: 0.5}
            return lr.MultiplicativeLR(optimizer, lambda done: factors.get(done, 1.0))
        case "cosine":
            warmup = recipe.schedule.warmup
            wave = lr.CosineAnnealingLR(optimizer, 5 * steps - warmup, recipe.schedule.floor * recipe.lr)
            if not warmup:
                return wave
            rise = lr.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
            return lr.SequentialLR(optimizer, [rise, wave], [warmup])
        case "halfway":
            return lr.MultiplicativeLR(optimizer, lambda done: 0.1 if done == 4 * steps else 1.0)
        case _:
            return lr.ConstantLR(optimizer, 1.0)


def optimizer_of(recipe, parameters):
    decay = recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, recipe.lr, momentum=recipe.momentum, weight_decay=decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(parameters, recipe.lr, weight_decay=decay)


def plain_training(data, recipe, seed, soft=None):
    net = networks.build(NETWORK, channels=3, size=(8, 8), classes=3)
    networks.initialize(net, streams.generator(seed, "evaluation-network"))
    images = data.train.batch(torch.arange(len(data.train)), torch.device("cpu"))
    one_hot = F.one_hot(torch.as_tensor(data.train.labels), 3).float()
    labels = (soft if soft is not None else one_hot) - (1 / 3 if recipe.loss == "mse" else 0)
    steps = -(-len(images) // recipe.batch)
    optimizer = optimizer_of(recipe, net.parameters())
    scheduler = scheduled(recipe, optimizer, steps)
    restarts = {"halfway": [4], "steps": [2, 4] if recipe.schedule.restart else []}
    for epoch in range(6 if recipe.schedule.kind == "halfway" else 5):
        if epoch in restarts.get(recipe.schedule.kind, []):
            optimizer.state.clear()
        order = torch.randperm(len(images), generator=streams.generator(seed, "shuffle", epoch))
        for number, rows in enumerate(order.split(recipe.batch)):
            stream = streams.generator(seed, "augmentation", epoch, number)
            batch = siamese.apply(images[rows], siamese.draw(recipe.augmentation, len(rows), (8, 8), stream))
            targets = labels[rows]
            stream = streams.generator(seed, "mixing", epoch, number)
            if recipe.mix and (drawn := mixing.draw(recipe.mix, len(rows), (8, 8), stream)):
                if recipe.mix.kind == "cutmix":
                    batch, targets = plain.cutmix(batch, targets, drawn.partners.tolist(), drawn.box)
                else:
                    batch, targets = plain.mixup(batch, targets, drawn.partners.tolist(), drawn.share)
            optimizer.zero_grad()
            plain.loss(recipe.loss, net(batch), targets, recipe.temperature).backward()
            optimizer.step()
            scheduler.step()
    return net.state_dict()


def assert_as_plain(data, recipe, samples, soft=None):
    together = StackedNetworks(NETWORK, data.info, [5, 6], problems.CPU, images=0)
    loop.train(together, samples, recipe)
    alone = StackedNetworks(NETWORK, data.info, [6], problems.CPU, images=0)
    loop.train(alone, samples, recipe)
    for name, tensor in alone.state().items():
        torch.testing.assert_close(together.state()[name][1], tensor, rtol=2e-3, atol=2e-4)
    for k, seed in enumerate((5, 6)):
        expected = plain_training(data, recipe, seed, soft)
        for name, tensor in together.state().items():
            torch.testing.assert_close(tensor[k], expected[name], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("option", OPTIONS)
def test_training_with_an_option_equals_plain_training(option):
    data = problems.real_data(per_class=12, size=8)
    recipe = dataclasses.replace(BASE, **OPTIONS[option])
    assert_as_plain(data, recipe, Samples.of_split(data.train, problems.CPU))


@pytest.mark.parametrize("option", ["kl", "mse", "cutmix"])
def test_training_on_soft_labels_equals_plain_training(option):
    data = problems.real_data(per_class=12, size=8)
    recipe = dataclasses.replace(BASE, **OPTIONS[option])
    hard = Samples.of_split(data.train, problems.CPU)
    soft = torch.randn(len(hard), 3, generator=torch.Generator().manual_seed(0)).mul(2).softmax(1)
    assert_as_plain(data, recipe, Samples(soft, hard.batch), soft)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_is_that_of_pytorch(decoupled, weight_decay):
    start = [torch.randn(5, 3), torch.randn(7)]
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in start] for _ in range(2))
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    pairs = (
        (ours, Adam(ours, 0.05, 0.9, weight_decay, decoupled=decoupled)),
        (theirs, kind(theirs, 0.05, weight_decay=weight_decay, foreach=True)),
    )
    for _ in range(6):
        for parameters, optimizer in pairs:
            optimizer.zero_grad()
            sum(parameter.sin().sum() for parameter in parameters).backward()
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("epochs", "shares", "full"),
    [(1000, ("2/3", "5/6"), (666, 833)), (10, (0.2, 0.7), (2, 7)), (60, ("2/3", "5/6"), (40, 50))],
)
def test_the_rate_falls_after_whole_epochs(epochs, shares, full):
    """The milestones 2 E // 3 and 5 E // 6 of IDC's public code; 0.7 times 10 is 7 despite rounding."""
    recipe = dataclasses.replace(
        BASE, epochs=epochs, lr=1.0, schedule=Schedule("steps", [(share, 0.5) for share in shares])
    )
    rates = [recipe.rate(epoch, 0) for epoch in range(recipe.epochs_run)]
    first, second = full
    assert rates == [1.0] * first + [0.5] * (second - first) + [0.25] * (epochs - second)


@given(st.integers(0, 2**32), st.sampled_from(["cutmix", "mixup"]), st.floats(0.1, 4))
def test_label_mass_stays_one_and_follows_the_pixels(seed, kind, beta):
    stream = torch.Generator().manual_seed(seed)
    images = torch.arange(6.0)[:, None, None, None].expand(6, 2, 9, 12).clone()
    labels = torch.eye(6)
    drawn = mixing.draw(Mix(kind, 1.0, beta), 6, (9, 12), stream)
    assert drawn is not None
    mixed, found = mixing.apply(images, labels, drawn)
    torch.testing.assert_close(found.sum(1), torch.ones(6))
    assert found.min() >= 0
    # The pixels of an image hold its index, so that their mean shows the share of each image.
    torch.testing.assert_close(mixed.mean((1, 2, 3)), found @ torch.arange(6.0), rtol=1e-5, atol=1e-5)
    if kind == "cutmix":
        for own, partner, image in zip(range(6), drawn.partners.tolist(), mixed, strict=True):
            assert set(image.unique().tolist()) <= {float(own), float(partner)}
    assert torch.equal(images[:, 0, 0, 0], torch.arange(6.0))


def test_batches_are_mixed_as_often_and_as_much_as_stated():
    stream = torch.Generator().manual_seed(0)
    drawn = [mixing.draw(Mix("mixup", 0.5, 0.5), 4, (8, 8), stream) for _ in range(4000)]
    shares = torch.tensor([each.share for each in drawn if each])
    assert abs(len(shares) - 2000) < 160  # five standard deviations
    # Beta(1/2, 1/2) is the arcsine distribution: mean 1/2, variance 1/8, a third below 1/4.
    assert shares.mean().item() == pytest.approx(0.5, abs=0.04)
    assert shares.var().item() == pytest.approx(0.125, abs=0.01)
    assert (shares < 0.25).float().mean().item() == pytest.approx(1 / 3, abs=0.055)


def test_a_box_takes_the_square_root_of_the_share_of_each_side():
    stream = torch.Generator().manual_seed(1)
    drawn = [mixing.draw(Mix("cutmix", 1.0, 1.0), 2, (32, 32), stream) for _ in range(3000)]
    boxes = torch.tensor([each.box for each in drawn if each])
    height, width = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] < 32) & (boxes[:, 2] > 0) & (boxes[:, 3] < 32)
    assert torch.equal(height[inside], width[inside])
    assert (height % 2 == 0)[inside].all()
    areas = torch.tensor([1 - each.share for each in drawn if each]) * 32 * 32
    torch.testing.assert_close(areas, (height * width).float())


def test_the_stated_loss_is_that_of_the_network_and_not_of_its_neighbors():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 4, generator=generator)
    hard = torch.randint(4, (2, 5), generator=generator)
    for kind in ("cross_entropy", "kl", "mse"):
        labels = F.one_hot(hard, 4).float() - (0.25 if kind == "mse" else 0)
        expected = sum(plain.loss(kind, logits[k], labels[k], 3.0 if kind == "kl" else 1.0) for k in (0, 1))
        found = losses.total(dataclasses.replace(BASE, loss=kind, temperature=3.0), logits, hard)
        torch.testing.assert_close(found, torch.as_tensor(expected))


class Interrupted(Exception):
    """Raised in the middle of a run."""


@pytest.mark.parametrize("device", [problems.CPU, problems.STACKING])
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "lr": 1e-3, "schedule": THIRDS, "mix": Mix("cutmix", 0.5, 1.0)},
        {"schedule": Schedule("cosine", warmup=4), "mix": Mix("mixup", 0.5, 1.0), "loss": "mse"},
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, device, changes):
    data = problems.real_data(per_class=12, size=8)
    recipe = dataclasses.replace(BASE, **changes)
    samples = Samples.of_split(data.train, problems.CPU)

    def train(checkpoint=None):
        seeds = [4, 5] if device.stack_networks else [4]
        stacked = StackedNetworks(NETWORK, data.info, seeds, device, images=0)
        loop.train(stacked, samples, recipe, run=Run(checkpoint))
        return stacked.state()

    class Stops(Checkpoint):
        def save(self, step, state):
            super().save(step, state)
            if step == 3:
                raise Interrupted

    with pytest.raises(Interrupted):
        train(Stops(tmp_path / "state", "test", every_seconds=0))
    resumed = train(Checkpoint(tmp_path / "state", "test", every_seconds=0))
    for name, tensor in train().items():
        assert torch.equal(resumed[name], tensor), name


def test_a_record_states_what_differs_from_the_default():
    assert BASE.stated() == {
        "name": "base",
        "epochs": 5,
        "lr": 0.02,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch": 16,
        "augmentation": "flip+color_crop",
    }
    changed = dataclasses.replace(BASE, schedule=Schedule("cosine", floor=0.1), mix=Mix("cutmix", 0.5, 1))
    added = {"schedule": {"kind": "cosine", "floor": 0.1}, "mix": {"kind": "cutmix", "p": 0.5, "beta": 1}}
    assert changed.stated() == BASE.stated() | added
    values = {**BASE.stated(), **added}
    assert resolve(values, None) == changed


def test_the_schema_knows_every_option():
    known = schema("parameters")["$defs"]["recipes"]["any"]
    options = {each.name: each.kw_only for each in dataclasses.fields(Recipe) if each.name != "name"}
    assert set(known["properties"]) == set(options)
    assert set(known["required"]) == {name for name, optional in options.items() if not optional}


def learned(rate):
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels, classes = torch.arange(3), ("a", "b", "c")
    return SyntheticSet(images, labels, classes, (0.5,) * 3, (0.25,) * 3, learning_rate=rate)


def test_a_recipe_takes_the_rate_that_a_set_was_learned_with():
    values = load_config(ROOT / "config", "paper").recipe("mtt", "cifar10", 1)
    assert resolve(values, learned(0.003)).lr == 0.003
    assert resolve(values, learned(torch.tensor(0.25))).lr == 0.25
    assert resolve(values, learned(None)).lr == resolve(values, None).lr == 0.01
    dsa = {name: value for name, value in values.items() if name != "learned_lr"}
    assert resolve(dsa, learned(0.003)).lr == 0.01
    for rate, word in ((-0.1, "-0.1"), (torch.tensor([[0.1, 0.2, 0.1]]), "each of its steps")):
        with pytest.raises(CondenseryError, match=word):
            resolve(values, learned(rate))


@pytest.mark.parametrize(
    ("name", "dataset", "ipc", "expected"),
    [
        # Epochs, batch, first and last learning rate, as in the authors' public code.
        ("idc", "cifar10", 10, (1000, 64, 0.01, 0.01 * 0.04)),
        ("dance", "cifar10", 10, (1500, 64, 0.01, 0.01 * 0.04)),
        ("ncfm", "cifar10", 50, (2000, 128, 0.001, 0.001 / 16)),
        ("ncfm", "tinyimagenet", 50, (40, 128, 0.001, 0.001 / 16)),
        ("mtt", "cifar10", 50, (1001, 256, 0.01, 0.001)),
        ("frepo", "cifar10", 10, (2000, 500, 3e-4 / 500, 3e-6)),
        ("frepo", "cifar100", 10, (5000, 500, 3e-4 / 500, 3e-6)),
        ("teacher", "cifar10", 0, (60, 128, 0.01, 0.01 * 0.04)),
    ],
)
def test_a_named_recipe_has_its_published_epochs_and_rates(name, dataset, ipc, expected):
    recipe = resolve(load_config(ROOT / "config", "paper").recipe(name, dataset, ipc), None)
    last = recipe.rate(recipe.epochs_run - 1, 0)
    assert (recipe.epochs_run, recipe.batch, recipe.rate(0, 0), last) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        # Optimizer, momentum, weight decay, augmentation, probability of CutMix, loss.
        ("mtt", "cifar10", ("sgd", 0.9, 5e-4, "color_crop_cutout_flip_scale_rotate", None, "cross_entropy")),
        ("idc", "cifar10", ("sgd", 0.9, 5e-4, "flip+color+crop_scale_rotate", 0.5, "cross_entropy")),
        ("idc", "svhn", ("sgd", 0.9, 5e-4, "color+crop_scale_rotate", 0.5, "cross_entropy")),
        ("idc", "mnist", ("sgd", 0.9, 5e-4, "color+crop_scale_rotate", None, "cross_entropy")),
        ("dance", "cifar10", ("sgd", 0.9, 5e-4, "flip+color+crop_scale_rotate", 0.5, "cross_entropy")),
        ("ncfm", "cifar10", ("adamw", 0.9, 0.01, "flip+color+crop_scale_rotate", 0.5, "cross_entropy")),
        ("ncfm", "svhn", ("adamw", 0.9, 0.01, "color+crop_scale_rotate", 0.5, "cross_entropy")),
        ("frepo", "cifar10", ("adam", 0.9, 0, "flip+color+crop+rotate+cutout", None, "mse")),
        ("frepo", "mnist", ("adam", 0.9, 0, "color+crop+rotate+cutout", None, "mse")),
        ("teacher", "cifar10", ("sgd", 0.9, 5e-4, "flip+color+crop_scale_rotate", 0.5, "cross_entropy")),
    ],
)
def test_a_named_recipe_trains_as_its_authors_do(name, dataset, expected):
    recipe = resolve(load_config(ROOT / "config", "paper").recipe(name, dataset, 10), None)
    mix = (recipe.mix.kind, recipe.mix.beta) if recipe.mix else None
    assert mix in (None, ("cutmix", 1))
    values = (recipe.optimizer, recipe.momentum, recipe.weight_decay, recipe.augmentation)
    assert (*values, recipe.mix.p if recipe.mix else None, recipe.loss) == expected


@pytest.mark.parametrize("name", NAMED)
def test_digits_and_gray_images_are_not_flipped(name):
    config = load_config(ROOT / "config", "paper")
    for dataset in ("mnist", "svhn", "digits", "usps", "digits_inverted"):
        assert "flip" not in siamese.parse(resolve(config.recipe(name, dataset, 10), None).augmentation)
    assert "flip" in siamese.parse(resolve(config.recipe(name, "cifar10", 10), None).augmentation)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_recipe_trains_under_smoke(name):
    values = load_config(ROOT / "config", "smoke").recipe(name, "digits", 1)
    data = problems.real_data(per_class=12, size=8)
    recipe = resolve(values, None)
    assert json.loads(json.dumps(recipe.stated()))["name"] == name
    samples = Samples.of_split(data.train, problems.CPU)
    stacked = StackedNetworks(NETWORK, data.info, [0, 1], problems.CPU, images=0)
    images = samples.batch(torch.arange(len(samples))).expand(2, -1, -1, -1, -1)

    def loss():
        with torch.no_grad():
            return losses.total(recipe, stacked.logits(images, train=False), samples.labels.expand(2, -1))

    before = loss()
    loop.train(stacked, samples, recipe)
    assert loss() < before
