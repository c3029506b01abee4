"""IDM: DM as a special case, the weight of the cross-entropy, the queue, shards, a resumed run."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from condensery import methods, networks, streams
from condensery.augmentation import siamese
from condensery.experiment import load_config
from condensery.formation import decode
from condensery.methods import dm, idm
from condensery.methods.queue import Queue
from tests import problems
from tests.interrupted import check_resumes

CONFIG = Path(__file__).parents[1] / "config"
METHOD = methods.get("idm")
OWN = {
    **{"formation": 2, "cross_entropy": 0.5, "lr_img": 0.4, "momentum": 0.0},
    **{"networks": 4, "network_steps": 2, "train_steps": 2, "batch_net": 16, "reset_steps": 3},
}
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def problem(**changes):
    parameters = OWN | changes.pop("parameters", {})
    return problems.problem(**changes, parameters=parameters)


def matcher(case, accuracy: float) -> idm.Matcher:
    """Return the loss in a queue of one network of this accuracy."""
    queue = Queue(case)
    queue.entries = queue.entries[:1]
    queue.entries[0].right, queue.entries[0].seen = accuracy, 100
    return idm.Matcher(case, queue)


# ---- the loss


@pytest.mark.parametrize("memory_bytes", [10**9, 1], ids=["one batch", "class by class"])
def test_without_cross_entropy_a_step_is_dms_in_the_same_network(memory_bytes):
    device = dataclasses.replace(problems.CPU, memory_bytes=memory_bytes)
    case = problem(device=device, parameters={"cross_entropy": 0.0, "formation": 1})
    ours = matcher(case, 80)
    plain = dm.Matcher(
        case, lambda net, _: networks.initialize(net, streams.generator(case.seed, "queue-network", 0))
    )
    for one, other in zip(ours.gradient(IMAGES, 3), plain.gradient(IMAGES, 3), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_cross_entropy_weighs_as_the_accuracy_in_percent():
    case = dataclasses.replace(problem(), augmentation="crop")
    none, some, more = (matcher(case, accuracy) for accuracy in (0, 20, 80))
    without, (first, low), (second, high) = (each.gradient(IMAGES, 3) for each in (none, some, more))
    torch.testing.assert_close(4 * (first - without[0]), second - without[0], rtol=1e-3, atol=1e-5)
    plain = dm.Matcher(case, none._queue.choose).gradient(IMAGES, 3)
    torch.testing.assert_close(without[0], plain[0], rtol=1e-5, atol=1e-6)
    net = case.new_network()
    none._queue.choose(net, 3)
    for c, own in enumerate(IMAGES.split(2)):
        draw = siamese.draw("crop", 1, (16, 16), streams.generator(case.seed, "siamese", 3, c))
        logits = net(siamese.apply(decode(own, 2), draw))
        expected = F.cross_entropy(logits, torch.full((8,), c)).detach()
        for weight, losses in ((10, low), (40, high)):
            torch.testing.assert_close(losses[c] - plain[1][c], weight * expected, rtol=1e-3, atol=1e-4)


# ---- the queue


def test_a_queue_grows_to_its_length_and_drops_the_oldest():
    queue = Queue(problem())
    for step in range(9):
        queue.renew(step)
        born = 3 + step // 2 + 1
        assert [entry.number for entry in queue.entries] == list(range(max(0, born - 4), born))


def test_a_network_trains_on_real_images_without_augmentation_by_its_own_sgd():
    case = problem(parameters={"networks": 1})
    queue = Queue(case)
    (entry,) = queue.entries
    net, labels = case.new_network(), torch.as_tensor(case.data.train.labels)
    networks.initialize(net, streams.generator(case.seed, "queue-network", 0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    right = 0
    for step in (4, 5):
        queue.train(step)
        for number in range(2):
            stream = streams.generator(case.seed, "queue-batch", step, 0, number)
            rows = torch.randperm(len(labels), generator=stream)[:16]
            logits = net(case.data.train.batch(rows, torch.device("cpu")))
            right += (logits.argmax(1) == labels[rows]).sum().item()
            optimizer.zero_grad()
            F.cross_entropy(logits, labels[rows]).backward()
            optimizer.step()
    for name, weights in net.state_dict().items():
        torch.testing.assert_close(entry.weights[name], weights, rtol=1e-4, atol=1e-6)
    assert entry.accuracy == 100 * right / 64


def test_two_different_networks_train_in_an_iteration_all_equally_often():
    case = problem(parameters={"networks": 4, "train_steps": 1, "batch_net": 1})
    queue, trained = Queue(case), []
    queue.renew(0)
    queue._descend = lambda entry, step: trained.append(entry.number)
    for step in range(200):
        queue.train(step)
    assert all(one != other for one, other in zip(trained[::2], trained[1::2], strict=True))
    assert all(75 < trained.count(number) < 125 for number in range(4))


def test_a_network_lives_and_trains_as_long_as_the_parameters_imply():
    """It stays for `networks * network_steps` iterations and trains in the share 2 / `networks` of them."""
    longest, every = 4, 5
    queue = Queue(problem(parameters={"networks": longest, "network_steps": every}))
    lived, trained = Counter(), Counter()
    queue._descend = lambda entry, step: trained.update([entry.number])
    for step in range(300):
        queue.renew(step)
        lived.update(entry.number for entry in queue.entries)
        queue.train(step)
    complete = range(longest, queue.entries[0].number)
    assert len(complete) > 50
    assert {lived[number] for number in complete} == {longest * every}
    mean = sum(trained[number] for number in complete) / len(complete)
    assert mean == pytest.approx(2 * every, rel=0.1)


def test_accuracies_are_counted_anew_and_of_an_untrained_network_are_0():
    queue = Queue(problem())
    assert [entry.accuracy for entry in queue.entries] == [0, 0, 0]
    queue.train(1)
    assert sum(entry.seen > 0 for entry in queue.entries) == 2
    queue.renew(1)
    assert sum(entry.seen > 0 for entry in queue.entries) == 2
    queue.renew(3)
    assert [entry.accuracy for entry in queue.entries] == [0, 0, 0]


# Cell -> real batch, weight of the cross-entropy, and the three numbers of steps in the order of `keys`.
PUBLISHED = {
    ("cifar10", 1): (5000, 0.5, 5, 10, 100),
    ("cifar10", 10): (256, 0.5, 30, 10, 100),
    ("cifar10", 50): (256, 0.1, 30, 10, 500),
    ("cifar100", 1): (5000, 0.5, 5, 10, 100),
    ("cifar100", 10): (256, 0.1, 30, 50, 100),
    ("cifar100", 50): (256, 0.1, 30, 40, 500),
    ("tinyimagenet", 1): (256, 0.5, 30, 10, 100),
    ("tinyimagenet", 10): (256, 0.5, 30, 10, 500),
    ("tinyimagenet", 50): (256, 0.8, 30, 50, 1000),
}


@pytest.mark.parametrize(("cell", "own"), PUBLISHED.items())
def test_parameters_are_those_of_the_authors_commands(cell, own):
    dataset, ipc = cell
    keys = ("batch_real", "cross_entropy", "network_steps", "train_steps", "reset_steps")
    assert load_config(CONFIG, "paper").parameters(dataset, "idm", "convnet", ipc) == {
        "iterations": 20000,
        "lr_img": 0.4,  # twice theirs, without their momentum
        "momentum": 0.0,
        "init": "real",
        "formation": 2,
        "networks": 100,
        "batch_net": 256,
        **dict(zip(keys, own, strict=True)),
    }


# ---- whole runs


def test_networks_come_to_recognize_the_synthetic_images():
    """The cross-entropy of the images falls in trained networks of the queue."""
    case = problem(parameters={"iterations": 12, "init": "noise"})
    judge = Queue(dataclasses.replace(case, seed=1))
    for step in range(12):
        judge.train(step)
    after = METHOD.condense(case)
    assert after.formation == 2
    before = case.synthetic_set(case.initial_images("noise"))
    net, found = case.new_network(), []
    for entry in judge.entries:
        net.load_state_dict(entry.weights)
        shown = (each.decoded() for each in (before, after))
        found.append([F.cross_entropy(net(each.images), each.labels).item() for each in shown])
    assert all(last < 0.8 * first for first, last in found), found


def test_condensing_by_class_equals_condensing_all_classes():
    """No stream of the queue depends on a class."""
    whole, gathered = METHOD.condense(problem()), problems.in_shards(METHOD, problem())
    torch.testing.assert_close(gathered.images, whole.images, rtol=0, atol=1e-4)


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d2-w16-bn"])
@pytest.mark.parametrize("stop", [1, 4])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, stop: int, network: str):
    case = problem(network=network, parameters={"iterations": 6})
    check_resumes(METHOD, case, tmp_path, stop)
