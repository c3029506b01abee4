"""Training and testing against plain loops, schedules against the papers' protocol, bit-exact resuming."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from condensery import networks, streams
from condensery.augmentation import dc, siamese
from condensery.data import Split
from condensery.run import Checkpoint, Run
from condensery.training import evaluation, loop
from condensery.training.descent import SGD
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from condensery.training.stacking import StackedNetworks
from tests import problems

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Recipe(
    "dsa", epochs=6, lr=0.05, momentum=0.9, weight_decay=5e-4, batch=8, augmentation=problems.STRATEGY
)


def samples_of(data):
    return Samples.of_split(data.train, problems.CPU)


def plain_training(data, network, recipe, seed):
    """The evaluation of DM section 3.1, as a plain loop over epochs and batches."""
    net = networks.build(network, channels=3, size=(16, 16), classes=3)
    networks.initialize(net, streams.generator(seed, "evaluation-network"))
    images = data.train.batch(torch.arange(len(data.train)), torch.device("cpu"))
    labels = torch.as_tensor(data.train.labels)
    lr = recipe.lr
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum=0.9, weight_decay=5e-4)
    for epoch in range(recipe.epochs + 1):
        order = torch.randperm(len(images), generator=streams.generator(seed, "shuffle", epoch))
        for number, rows in enumerate(order.split(recipe.batch)):
            stream = streams.generator(seed, "augmentation", epoch, number)
            if recipe.augmentation.startswith("dc_"):
                of_each = dc.draw(recipe.augmentation, images[rows].shape, stream)
                batch = dc.apply(images[rows], of_each)
            else:
                draw = siamese.draw(recipe.augmentation, len(rows), (16, 16), stream)
                batch = siamese.apply(images[rows], draw)
            optimizer.zero_grad()
            F.cross_entropy(net(batch), labels[rows]).backward()
            optimizer.step()
        if epoch == recipe.epochs // 2 + 1:
            optimizer = torch.optim.SGD(net.parameters(), lr * 0.1, momentum=0.9, weight_decay=5e-4)
    return net


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d1-w16-bn"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("augmentation", [problems.STRATEGY, "dc_crop_rotate"])
def test_training_equals_a_plain_loop_however_many_networks(network, count, augmentation):
    data = problems.real_data()
    recipe = dataclasses.replace(RECIPE, augmentation=augmentation)
    stacked = StackedNetworks(network, data.info, [5, 6, 7][:count], problems.CPU, images=0)
    loop.train(stacked, samples_of(data), recipe)
    for k in range(count):
        expected = plain_training(data, network, recipe, 5 + k).state_dict()
        for name, tensor in stacked.state().items():
            torch.testing.assert_close(
                tensor[k] if count > 1 else tensor, expected[name], rtol=2e-3, atol=2e-4
            )


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 5e-4), (0.9, 0.0), (0.0, 5e-4), (0.0, 0.0)])
def test_descent_is_that_of_pytorch_to_the_bit(momentum, weight_decay):
    start = [torch.randn(5, 3), torch.randn(7)]
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in start] for _ in range(2))
    descent = SGD(ours, 0.05, momentum, weight_decay)
    reference = torch.optim.SGD(theirs, 0.05, momentum=momentum, weight_decay=weight_decay)
    for _ in range(4):
        for parameters, optimizer in ((ours, descent), (theirs, reference)):
            optimizer.zero_grad()
            sum(parameter.sin().sum() for parameter in parameters).backward()
            optimizer.step()
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.equal(mine, other)


TRAINING = """
import sys
from tests import problems, test_training
from condensery.training import loop, stacking
data = problems.real_data()
stacked = stacking.StackedNetworks("convnet-d2-w16", data.info, [1, 2], problems.CPU, images=0)
loop.train(stacked, test_training.samples_of(data), test_training.RECIPE)
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.slow
def test_training_does_not_wait_for_the_compiler_to_be_imported():
    done = subprocess.run([sys.executable, "-c", TRAINING], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["False"], done.stderr


def test_networks_trained_at_once_score_as_one_by_one():
    data = problems.real_data(per_class=40)
    together = StackedNetworks("convnet-d2-w16", data.info, [1, 2, 3], problems.CPU, images=0)
    loop.train(together, samples_of(data), RECIPE)
    alone = []
    for seed in (1, 2, 3):
        stacked = StackedNetworks("convnet-d2-w16", data.info, [seed], problems.CPU, images=0)
        loop.train(stacked, samples_of(data), RECIPE)
        alone += evaluation.accuracies(stacked, data.test)
    assert evaluation.accuracies(together, data.test) == alone


@pytest.mark.parametrize(("epochs", "at_first_rate"), [(1000, 502), (300, 152), (1, 2)])
def test_schedule(epochs, at_first_rate):
    """1,001 epochs for E = 1000, of which 502 at the first rate; 301 and 152 for E = 300."""
    recipe = dataclasses.replace(RECIPE, epochs=epochs)
    rates = [recipe.rate(epoch, 0) for epoch in range(epochs + 1)]
    assert rates == [0.05] * at_first_rate + [0.005] * (epochs + 1 - at_first_rate)


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d1-w16-bn"])
def test_accuracy_counts_every_test_image_once(monkeypatch, network):
    data = problems.real_data(per_class=30)
    stacked = StackedNetworks(network, data.info, [0], problems.CPU, images=0)
    loop.train(stacked, samples_of(data), dataclasses.replace(RECIPE, epochs=1))
    monkeypatch.setattr(evaluation, "TEST_BATCH", 16)  # the last batch is partial
    # Images with differing brightness: the statistics of a batch do not apply to the next one.
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (90, 3, 16, 16)) * np.linspace(1, 0.2, 90).reshape(-1, 1, 1, 1)
    test = Split(images.astype(np.uint8), rng.integers(0, 3, 90), data.info)
    net = stacked.network.eval()
    logits = [net(test.batch(torch.tensor([i]), torch.device("cpu"))) for i in range(90)]
    right = sum(int(each.argmax() == label) for each, label in zip(logits, test.labels, strict=True))
    assert evaluation.accuracies(stacked, test) == [pytest.approx(100 * right / 90)]
    assert 0 < right < 90


def test_soft_labels_train_as_hard_ones_when_they_are_one_hot():
    data = problems.real_data()
    hard = samples_of(data)
    soft = Samples(F.one_hot(hard.labels, 3).float(), hard.batch)
    stacks = []
    for samples in (hard, soft):
        stacks.append(StackedNetworks("mlp", data.info, [0], problems.CPU, images=0))
        loop.train(stacks[-1], samples, RECIPE)
    for a, b in zip(stacks[0].state().values(), stacks[1].state().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_soft_labels_count_by_their_probabilities():
    data = problems.real_data()
    hard = samples_of(data)
    soft = torch.rand(len(hard), 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    recipe = dataclasses.replace(RECIPE, epochs=1, momentum=0.0, weight_decay=0.0, augmentation="none")
    stacked = StackedNetworks("mlp", data.info, [3, 4], problems.CPU, images=0)
    loop.train(stacked, Samples(soft, hard.batch), recipe)
    for k, seed in enumerate((3, 4)):
        net = networks.build("mlp", channels=3, size=(16, 16), classes=3)
        networks.initialize(net, streams.generator(seed, "evaluation-network"))
        for epoch in range(2):
            order = torch.randperm(len(soft), generator=streams.generator(seed, "shuffle", epoch))
            for rows in order.split(recipe.batch):
                net.zero_grad()
                logits = net(hard.batch(rows))
                (-(soft[rows] * logits.log_softmax(1)).sum() / len(rows)).backward()
                with torch.no_grad():
                    for parameter in net.parameters():
                        parameter -= recipe.lr * parameter.grad
        for name, expected in net.state_dict().items():
            torch.testing.assert_close(stacked.state()[name][k], expected, rtol=1e-4, atol=1e-5)


class Interrupted(Exception):
    """Raised in the middle of a run."""


@pytest.mark.parametrize(
    ("first", "stop_at", "then"),
    [
        (problems.CPU, 2, problems.CPU),
        (problems.CPU, 5, problems.CPU),
        (problems.CPU, 9, problems.CPU),
        (problems.STACKING, 5, problems.STACKING),
        (problems.STACKING, 5, problems.CPU),
        (problems.CPU, 9, problems.STACKING),
    ],
)
def test_an_interrupted_evaluation_gives_the_same_outcomes(tmp_path, first, stop_at, then):
    data = problems.real_data()

    def evaluate(device, checkpoint=None):
        arguments = ("convnet-d2-w16", samples_of(data), data.test, RECIPE, [4, 5])
        return evaluation.evaluate(*arguments, device, run=Run(checkpoint))

    class Stops(Checkpoint):
        saves = 0

        def save(self, step, state):
            super().save(step, state)
            self.saves += 1
            if self.saves == stop_at:
                raise Interrupted

    with pytest.raises(Interrupted):
        evaluate(first, Stops(tmp_path / "state", "test", every_seconds=0))
    resumed = evaluate(then, Checkpoint(tmp_path / "state", "test", every_seconds=0))
    assert [(o.network_seed, o.accuracy) for o in resumed] == [
        (o.network_seed, o.accuracy) for o in evaluate(then)
    ]
