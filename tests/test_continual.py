"""Continual learning: orders, memory, the images that each part sees, and training against plain loops."""

from __future__ import annotations

import dataclasses
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from condensery import methods, networks, streams
from condensery.continual import classes, domains, memory
from condensery.data import RealData, Split
from condensery.data.views import of_classes, training_only
from condensery.errors import CondenseryError
from condensery.experiment import orders
from condensery.machine.device import Device
from condensery.run import UNATTENDED, Checkpoint, Run
from condensery.synthetic import SyntheticSet
from condensery.training import evaluation
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from tests import problems
from tests.interrupted import Recorded, Shared
from tests.test_generators import PARAMETERS as GENERATORS

RECIPE = Recipe("dsa", epochs=2, lr=0.05, momentum=0.9, weight_decay=5e-4, batch=8, augmentation="none")
JOINT = dataclasses.replace(RECIPE, epochs=3, lr=0.02)
AUGMENTED = dataclasses.replace(RECIPE, augmentation=problems.STRATEGY)


# ---- orders


def test_orders_are_those_of_numpys_seeded_generator() -> None:
    assert orders.class_order(0, 10) == (2, 8, 4, 9, 1, 6, 7, 3, 0, 5)
    before = np.random.get_state()
    for seed in range(5):
        np.random.seed(seed)
        assert orders.class_order(seed, 100) == tuple(np.random.permutation(100))
    np.random.set_state(before)


@given(st.integers(0, 1000), st.integers(1, 12), st.integers(1, 12))
def test_steps_share_the_classes_out(seed: int, steps: int, size: int) -> None:
    groups = orders.step_classes(seed, steps * size, steps)
    assert [len(group) for group in groups] == [size] * steps
    order = orders.class_order(seed, steps * size)
    for number, group in enumerate(groups):
        assert set(group) == set(order[number * size : (number + 1) * size])
        assert list(group) == sorted(group)


@pytest.mark.parametrize("steps", [0, 3, 11])
def test_uneven_steps_are_refused(steps: int) -> None:
    with pytest.raises(CondenseryError, match="evenly"):
        orders.step_classes(0, 10, steps)


# ---- memory


def synthetic(*labels: int) -> SyntheticSet:
    """Return a set in which the pixels of an image encode its label."""
    classes = torch.tensor(labels)
    images = classes.float().reshape(-1, 1, 1, 1) + torch.arange(len(labels)).reshape(-1, 1, 1, 1) / 100
    return SyntheticSet(
        images.expand(-1, 3, 2, 2).contiguous(), classes, tuple("abcd"), (0.5,) * 3, (0.25,) * 3
    )


def test_memory_has_the_classes_seen_and_its_budget() -> None:
    kept = memory.remember([synthetic(3, 3, 0, 0), synthetic(2, 2, 1, 1)], (0, 2), ipc=2)
    assert kept.labels.tolist() == [0, 0, 2, 2]
    assert kept.images[:, 0, 0, 0].tolist() == pytest.approx([0.02, 0.03, 2.0, 2.01])
    assert memory.size([kept, kept]) == {
        "memory_images": 8,
        "memory_bytes": 8 * 3 * 2 * 2 * 4,
        "memory_bytes_8bit": 8 * 3 * 2 * 2,
    }


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([synthetic(0, 0, 1)], "1 images of class 1"),
        ([synthetic(0, 0, 1, 1), synthetic(0)], "3 images of class 0"),
        ([synthetic(0, 0)], "0 images of class 1"),
    ],
)
def test_a_memory_over_or_under_its_budget_is_refused(sets: list[SyntheticSet], message: str) -> None:
    with pytest.raises(CondenseryError, match=message):
        memory.remember(sets, (0, 1), ipc=2)


def remembered(data: RealData, method: str, group: tuple[int, ...], folder: Path, **more) -> SyntheticSet:
    """Return the memory that one step makes of its classes, from their training images alone."""
    view = training_only(of_classes(data, group))
    if method in ("herding", "forgetting", "kcenter"):
        more |= {"trained": {"features": [problems.features_file(folder, view)]}}
    if method in ("dance", "ncfm"):
        more |= {"trained": {"pairs": [problems.pairs_file(folder, view)]}}
    if method == "mtt":
        more |= {"trained": {"experts": [problems.experts_file(folder, view)]}}
    return methods.get(method).condense(problems.problem(view, classes=group, **more))


GRADIENTS = {
    "iterations": 2,
    "outer_loop": 2,
    "inner_loop": 1,
    "lr_img": 0.1,
    "lr_net": 0.01,
    "batch_net": 8,
    "distance": "layerwise",
    "strategy": "dataset",
    "transform": "shared",
    "alone_networks": 1,
    "alone_steps": 1,
}
DISTRIBUTIONS = {
    "iterations": 3,
    "network_group": "random",
    "power": 4,
    "feature_weight": 0.01,
    "kernel": "gaussian",
    "network_steps": 2,
    "strategy": "color+crop",
    "formation": 1,
    "frequencies": 16,
    "amplitude": 0.5,
    "real": "random",
    "optimizer": "adamw",
    "weight_decay": 0.0005,
    "patience": 5,
    "cross_entropy": 0.5,
    "networks": 4,
    "train_steps": 2,
    "batch_net": 8,
    "reset_steps": 2,
}
UNROLLED = {
    "gtn": {
        "iterations": 2,
        "lr": 0.02,
        "floor": 0.1,
        "steps": 2,
        "lr_net": 0.02,
        "momentum_net": 0.5,
        "noise": 4,
        "width": 8,
    },
    "idc": {
        "iterations": 2,
        "outer_loop": 2,
        "lr_img": 0.001,
        "batch_synthetic": 128,
        "distance": "mse-conv",
        "strategy": "color+crop",
        "formation": 2,
        "steps_net": 2,
        "batch_net": 8,
        "lr_net": 0.01,
        "momentum_net": 0.9,
        "decay_net": 0.0,
        "strategy_net": "color+crop",
        "cutmix": 0.5,
    },
    "mtt": {
        "iterations": 2,
        "lr_img": 0.1,
        "steps": 2,
        "batch_net": 4,
        "expert_epochs": 1,
        "start_epochs": 1,
        "lr_net": 0.01,
        "lr_rate": 1e-5,
        "strategy": "dataset",
    },
    "frepo": {
        "iterations": 3,
        "optimizer": "lamb",
        "lr_img": 0.01,
        "floor": 0.1,
        "learn_labels": False,
        "flip": True,
        "networks": 2,
        "network_steps": 4,
        "lr_net": 0.001,
        "batch_net": 8,
    },
    "kip": {"iterations": 3, "lr_img": 0.1, "learn_labels": False},
    "dd": {
        "iterations": 2,
        "stages": 1,
        "networks": 1,
        "steps": 2,
        "epochs": 1,
        "lr_net": 0.1,
        "lr_img": 0.1,
    },
    "ld": {
        "iterations": 3,
        "patience": 2,
        "lr_label": 0.1,
        "lr_inner": 0.1,
        "lr_net": 0.01,
        "batch_net": 4,
    },
}


def parameters(method: str) -> dict[str, object]:
    matched = GRADIENTS if method in ("dc", "dsa", "dcc") else DISTRIBUTIONS
    others = UNROLLED | GENERATORS | {"mmd": matched | {"kernel": "linear", "degree": 2, "width": 1.0}}
    entry = others.get(method, matched)
    return {"parameters": entry | {"init": "real"}}


@pytest.mark.parametrize("method", ["random", "dm"])
def test_independent_classes_do_not_depend_on_the_steps(method: str, tmp_path: Path) -> None:
    """This is why their memory may come from one set of all classes."""
    data = problems.real_data(classes=4)
    whole = methods.get(method).condense(problems.problem(data, **parameters(method)))
    for group in ((1, 3), (0, 2)):
        step = remembered(data, method, group, tmp_path, **parameters(method))
        assert step.labels.tolist() == [c for c in group for _ in range(2)]
        for c in group:
            torch.testing.assert_close(step.images[step.labels == c], whole.images[whole.labels == c])


# ---- the images that each part sees


class Sealed(Split):
    """A test split whose images must not be read."""

    def batch(self, indices, device):
        raise AssertionError("a test image was read")

    def _gather(self, positions):
        raise AssertionError("a test image was read")

    @property
    def images(self):
        raise AssertionError("test images were read")


def sealed(data: RealData) -> RealData:
    return dataclasses.replace(data, test=Sealed(data.test._stored, data.test.labels, data.info))


@pytest.mark.parametrize("method", methods.names())
def test_a_memory_is_made_of_the_steps_training_images(method: str, tmp_path: Path) -> None:
    data = problems.real_data(classes=4)
    others = data.train.images.copy()
    others[np.isin(data.train.labels, (0, 2))] = 0  # the images of other classes must not matter
    changed = dataclasses.replace(data, train=Split(others, data.train.labels, data.info))
    first = remembered(sealed(data), method, (1, 3), tmp_path, **parameters(method))
    second = remembered(sealed(changed), method, (1, 3), tmp_path, **parameters(method))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    if method != "ld":  # whose labels are soft
        assert sorted(first.labels.tolist()) == [1, 1, 3, 3]


def test_a_method_that_looks_at_test_images_finds_none() -> None:
    view = training_only(of_classes(problems.real_data(classes=4), (1, 3)))
    with pytest.raises(IndexError):
        view.test.batch(np.array([0]), torch.device("cpu"))


def trained(monkeypatch, run) -> list[dict[str, torch.Tensor]]:
    """Return the weights of every network at each of its tests."""
    seen = []

    def watch(stacked, split):
        seen.append({name: tensor.detach().clone() for name, tensor in stacked.state().items()})
        return [50.0] * len(stacked.seeds)

    for module in (evaluation, domains):
        monkeypatch.setattr(module, "accuracies", watch)
    run()
    return seen


def with_other_tests(data: RealData) -> RealData:
    """Return the data with other test images under the same labels."""
    return dataclasses.replace(data, test=Split(255 - data.test.images, data.test.labels, data.info))


def learn_classes(data: RealData, folder: Path, run: Run = UNATTENDED) -> list[list[evaluation.Outcome]]:
    groups = orders.step_classes(0, 4, 2)
    sets = [remembered(data, "random", group, folder) for group in groups]
    steps = [
        classes.Step(seen, memory.remember(sets, seen, ipc=2), classes.network_seeds(0, 2, number, 2))
        for number, seen in enumerate(accumulate(groups))
    ]
    return classes.learn(data, steps, "mlp", AUGMENTED, problems.CPU, run=run)


def tasks(data: list[RealData], *, joint: bool = False) -> list[domains.Task]:
    """Return the tasks; the last has a set if networks are to train on the joint sets too."""
    kept = [methods.get("random").condense(problems.problem(each)) for each in data]
    kept = kept if joint else [*kept[:-1], None]
    return [domains.Task(each, RECIPE, JOINT, own) for each, own in zip(data, kept, strict=True)]


def two_domains() -> list[RealData]:
    """Return images and their negatives: a network that learns one data set forgets the other."""
    first = problems.real_data()
    negative = (Split(255 - s.images, s.labels, first.info) for s in (first.train, first.test))
    return [first, RealData(first.info, *negative)]


def test_no_test_image_reaches_a_networks_training(monkeypatch, tmp_path: Path) -> None:
    """Other test images leave every network unchanged."""
    data = problems.real_data(classes=4)
    both = two_domains()
    runs = [
        (lambda: learn_classes(data, tmp_path), lambda: learn_classes(with_other_tests(data), tmp_path)),
        (
            lambda: list(domains.learn("mlp", tasks(both), [0], problems.CPU)),
            lambda: list(domains.learn("mlp", tasks([with_other_tests(d) for d in both]), [0], problems.CPU)),
        ),
    ]
    for plain, swapped in runs:
        first, second = trained(monkeypatch, plain), trained(monkeypatch, swapped)
        assert len(first) == len(second) > 3
        for a, b in zip(first, second, strict=True):
            assert all(torch.equal(a[name], b[name]) for name in a)


def test_networks_are_tested_on_all_images_of_the_classes_seen(monkeypatch, tmp_path: Path) -> None:
    data = problems.real_data(classes=4)
    tested = []
    monkeypatch.setattr(
        evaluation, "accuracies", lambda stacked, split: tested.append((stacked, split)) or [50.0]
    )
    outcomes = learn_classes(data, tmp_path)
    first, second = orders.step_classes(0, 4, 2)
    labels = data.test.labels.tolist()
    for stacked, split in tested:
        assert stacked.network.classifier.out_features == 4
        assert set(split.labels) in (set(first), {*first, *second})
        assert len(split) == sum(labels.count(c) for c in set(split.labels))
    assert [len({*split.labels}) for _, split in tested] == [2, 2, 4, 4]
    seeds = [outcome.network_seed for step in outcomes for outcome in step]
    assert len(set(seeds)) == 4


# ---- one data set after another


def test_distillation_is_the_softened_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    mine, theirs = rng.normal(size=(2, 3, 5, 4))

    def soft(logits: np.ndarray) -> np.ndarray:
        powers = (np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)) ** (1 / 2)
        return powers / powers.sum(-1, keepdims=True)

    # Castro et al. 2018: probabilities to the power of 1 / T, brought to a sum of 1.
    expected = sum(-(soft(theirs[k]) * np.log(soft(mine[k]))).sum(-1).mean() for k in range(3))
    got = domains.distillation(torch.tensor(mine), torch.tensor(theirs))
    assert got.item() == pytest.approx(expected)


def test_joined_samples_are_the_parts_in_their_order() -> None:
    one, other = two_domains()
    parts = [Samples.of_split(split, problems.CPU) for split in (one.train, other.train)]
    kept = Samples.of_set(methods.get("random").condense(problems.problem(one)), problems.CPU)
    joined = Samples.joined([parts[0], kept, parts[1]])
    images = torch.cat([part.batch(torch.arange(len(part))) for part in (parts[0], kept, parts[1])])
    rows = torch.randperm(len(joined), generator=torch.Generator().manual_seed(0))[:30]
    assert torch.equal(joined.batch(rows), images[rows])
    assert torch.equal(joined.labels, torch.cat([parts[0].labels, kept.labels, parts[1].labels]))


def plain_sequence(both: list[RealData], distil: bool) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Two tasks as a plain loop: cross-entropy, and cross-entropy with the softened old outputs.

    Returns:
        The weights of the network, and its accuracies on both data sets.
    """
    cpu = torch.device("cpu")
    kept = methods.get("random").condense(problems.problem(both[0]))
    net = networks.build("mlp", channels=3, size=(16, 16), classes=3)
    networks.initialize(net, streams.generator(0, "evaluation-network"))
    for step, data in enumerate(both):
        images = data.train.batch(torch.arange(len(data.train)), cpu)
        labels = torch.as_tensor(data.train.labels)
        old = networks.build("mlp", channels=3, size=(16, 16), classes=3)
        old.load_state_dict(net.state_dict())
        if step == 1:
            images, labels = torch.cat([images, kept.images]), torch.cat([labels, kept.labels])
        optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
        for epoch in range(3):
            order = torch.randperm(len(images), generator=streams.generator(step, "shuffle", epoch))
            for rows in order.split(8):
                logits = net(images[rows])
                loss = F.cross_entropy(logits, labels[rows])
                if step == 1 and distil:
                    wanted = F.softmax(old(images[rows]).detach() / 2, dim=1)
                    loss = loss - (wanted * F.log_softmax(logits / 2, dim=1)).sum(1).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    scores = []
    for data in both:
        logits = net(data.test.batch(torch.arange(len(data.test)), cpu))
        scores.append(100 * float((logits.argmax(1) == torch.as_tensor(data.test.labels)).float().mean()))
    return net.state_dict(), scores


def test_a_sequence_equals_a_plain_loop(monkeypatch) -> None:
    both = two_domains()
    tested, accuracies = [], domains.accuracies

    def watch(stacked, split):
        tested.append({name: tensor.detach().clone() for name, tensor in stacked.state().items()})
        return accuracies(stacked, split)

    monkeypatch.setattr(domains, "accuracies", watch)
    learned = list(domains.learn("mlp", tasks(both), [0], problems.CPU))
    assert [(one.step, one.way.distillation, len(one.accuracies)) for one in learned] == [
        (0, True, 1),
        (1, True, 2),
        (0, False, 1),
        (1, False, 2),
    ]
    assert learned[0].accuracies == learned[2].accuracies
    (distilled, held), (plain, free) = (plain_sequence(both, distil) for distil in (True, False))
    # The two cases differ, so that the comparison is meaningful.
    assert all((distilled[name] - plain[name]).abs().max() > 0.01 for name in plain)
    # After the first task one test, after the second two.
    for weights, expected in ((tested[1], distilled), (tested[4], plain)):
        torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)
    assert learned[1].accuracies == pytest.approx(held, abs=1e-3)
    assert learned[3].accuracies == pytest.approx(free, abs=1e-3)


def test_the_joint_sets_are_learned_as_in_a_plain_loop() -> None:
    both = two_domains()
    learned = domains.learn("mlp", tasks(both, joint=True), [0], problems.CPU)
    joint = [one for one in learned if one.way.joint]
    assert [(one.step, one.way.distillation, len(one.accuracies)) for one in joint] == [
        (0, False, 1),
        (1, False, 2),
    ]
    cpu = torch.device("cpu")
    kept = [methods.get("random").condense(problems.problem(each)) for each in both]
    net = networks.build("mlp", channels=3, size=(16, 16), classes=3)
    networks.initialize(net, streams.generator(0, "evaluation-network"))
    for step in range(2):
        images = torch.cat([each.images for each in kept[: step + 1]])
        labels = torch.cat([each.labels for each in kept[: step + 1]])
        rate, optimizer = None, None
        for epoch in range(JOINT.epochs_run):
            if JOINT.rate(epoch, 0) != rate:  # where the rate falls, the momentum restarts
                rate = JOINT.rate(epoch, 0)
                optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9, weight_decay=5e-4)
            order = torch.randperm(len(images), generator=streams.generator(step, "shuffle", epoch))
            for rows in order.split(JOINT.batch):
                loss = F.cross_entropy(net(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        for data, accuracy in zip(both, joint[step].accuracies, strict=False):
            logits = net(data.test.batch(torch.arange(len(data.test)), cpu))
            right = (logits.argmax(1) == torch.as_tensor(data.test.labels)).float().mean()
            assert accuracy == pytest.approx(100 * float(right), abs=1e-3)


def test_networks_of_a_sequence_do_not_depend_on_each_other() -> None:
    both = tasks(two_domains(), joint=True)
    stacked = domains.learn("mlp", both, [0, 1], problems.STACKING)
    single = domains.learn("mlp", both, [0, 1], problems.CPU)

    def scores(learned: list[domains.Learned]) -> dict[tuple, tuple[float, ...]]:
        return {(one.network_seed, one.step, one.way): one.accuracies for one in learned}

    assert scores(stacked) == scores(single)
    assert len(scores(single)) == 12


def test_the_common_shape_is_the_largest() -> None:
    gray = problems.real_data(size=24, channels=1).info
    assert domains.common_shape([gray, problems.real_data().info]) == (3, 24, 24)
    with pytest.raises(CondenseryError, match="equal numbers of classes"):
        domains.common_shape([gray, problems.real_data(classes=4).info])


# ---- resuming


class Interrupted(Exception):
    """Raised in the middle of a run."""


def test_progress_counts_the_epochs_of_a_sequence() -> None:
    both = tasks(two_domains(), joint=True)
    steps = problems.Steps()
    domains.learn("mlp", both, [0, 1], problems.CPU, run=Run(progress=steps))
    # Of each network: the first task once, the second with and without distillation, both on the joint sets.
    assert steps.seen == list(range(1, 2 * domains.epochs(both) + 1))
    assert domains.epochs(both) == 3 * RECIPE.epochs_run + 2 * JOINT.epochs_run


@pytest.mark.parametrize("stop_at", [1, 6, 10, 12, 30])
def test_an_interrupted_sequence_gives_the_same_accuracies(tmp_path: Path, monkeypatch, stop_at: int) -> None:
    first, second = two_domains()
    three = tasks([first, second, first], joint=True)
    saves, now = 0, 0.0
    monkeypatch.setattr("condensery.run.parts.perf_counter", lambda: now)

    class Seconds(problems.Steps):
        def step(self, done, **values):
            nonlocal now
            now += 1  # an epoch lasts a second

    class Stops(Checkpoint):
        def save(self, step, state):
            nonlocal saves
            super().save(step, state)
            saves += 1
            if saves == stop_at:
                raise Interrupted

    def learn(run: Run) -> list[tuple]:
        learned = domains.learn("mlp", three, [0, 1], problems.CPU, run=run)
        assert {one.train_seconds for one in learned} == {RECIPE.epochs_run, JOINT.epochs_run}
        return [(one.network_seed, one.step, one.way, one.accuracies) for one in learned]

    def run() -> Run:
        return Run(Stops(tmp_path / "state", "test", every_seconds=0), Seconds())

    with pytest.raises(Interrupted):
        learn(run())
    assert learn(run()) == learn(Run(progress=Seconds()))
    # Each of 2 networks has 5 trainings of 3 passes and 3 of 4, 9 tasks that end, and an end. Nothing is done
    # again.
    assert saves == 2 * (5 * 3 + 3 * 4 + 9 + 1)


@pytest.mark.parametrize("ahead", [-9, -1, 4])
def test_a_sequence_beside_another_with_its_output_takes_nothing_from_it(tmp_path: Path, ahead: int) -> None:
    both = tasks(two_domains())

    def scores(run: Run) -> dict[tuple, tuple[float, ...]]:
        learned = domains.learn("mlp", both, [0, 1], problems.CPU, run=run)
        return {(one.network_seed, one.step, one.way): one.accuracies for one in learned}

    other = Recorded(tmp_path / "other")
    expected = scores(Run(other))
    assert scores(Run(Shared(tmp_path / "job", other.states, ahead))) == expected


@pytest.mark.parametrize("then", [problems.STACKING, problems.CPU])
def test_a_sequence_may_go_on_where_other_networks_are_trained_at_once(tmp_path: Path, then) -> None:
    both = tasks(two_domains())
    saves = []

    class Stops(Checkpoint):
        def save(self, step, state):
            super().save(step, state)
            saves.append(step)
            if len(saves) == 6:  # within the second task of both networks
                raise Interrupted

    def scores(device: Device, run: Run) -> dict[tuple, tuple[float, ...]]:
        learned = domains.learn("mlp", both, [0, 1], device, run=run)
        return {(one.network_seed, one.step, one.way): one.accuracies for one in learned}

    def run() -> Run:
        return Run(Stops(tmp_path / "state", "test", every_seconds=0))

    with pytest.raises(Interrupted):
        scores(problems.STACKING, run())
    assert scores(then, run()) == scores(problems.CPU, Run())
    # Single networks cannot use the checkpoint of stacked ones.
    assert len(saves) == (3 * 3 + 4 + 1 if then is problems.STACKING else 6 + 2 * (3 * 3 + 4 + 1))


def test_finished_steps_are_read_from_their_checkpoint(tmp_path: Path, monkeypatch) -> None:
    data = problems.real_data(classes=4)

    def run() -> list[list[evaluation.Outcome]]:
        return learn_classes(data, tmp_path, Run(Checkpoint(tmp_path / "state", "test")))

    first = run()
    monkeypatch.setattr(evaluation, "train", None)
    assert run() == first
