"""Coreset methods against plain versions of their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condensery import methods, networks
from condensery.errors import CondenseryError
from condensery.files import read_tensors
from condensery.methods.herding import herd, nearest
from condensery.methods.kcenter import k_center
from condensery.run import Checkpoint, Run
from condensery.training.evaluation import accuracies
from condensery.training.pretrained import Forgetting, pretrain
from condensery.training.recipes import Recipe
from condensery.training.stacking import StackedNetworks
from tests import problems


@pytest.fixture(scope="module")
def data():
    return problems.real_data()


@pytest.fixture(scope="module")
def features(data, tmp_path_factory):
    return problems.features_file(tmp_path_factory.mktemp("features"), data)


def test_herding_minimizes_the_distance_of_the_mean_at_every_step():
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chosen = herd(x, 12).tolist()
    assert len(set(chosen)) == 12
    for i in range(12):
        distances = {
            j: (x.mean(0) - x[[*chosen[:i], j]].mean(0)).norm().item()
            for j in range(30)
            if j not in chosen[:i]
        }
        assert chosen[i] == min(distances, key=distances.get)


# With seed 4, unlike 1, every selection depends on the distances to all images selected before.
@pytest.mark.parametrize("seed", [1, 4])
def test_k_center_takes_the_farthest_image_and_starts_at_the_mean(seed):
    x = torch.randn(30, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[17] = x.mean(0) + 0.01  # the nearest to the mean, neither the first nor the last
    chosen = k_center(x, 8).tolist()
    assert chosen[0] == 17
    for i in range(1, 8):
        reach = [min((x[j] - x[k]).norm().item() for k in chosen[:i]) for j in range(30)]
        assert reach[chosen[i]] == max(reach)


def test_only_the_first_of_herding_is_the_nearest():
    x = torch.tensor([[0.1], [1.0], [1.2], [2.1], [3.1]])  # of mean 1.5
    assert nearest(x, 3).tolist() == [2, 1, 3]
    assert herd(x, 2).tolist() == [2, 3]  # of mean 1.65; that of 1.2 and 1.0 is 1.1


@pytest.mark.parametrize("select", [herd, nearest, k_center])
def test_equal_images_are_selected_once_each(select):
    assert sorted(select(torch.ones(4, 3), 4).tolist()) == [0, 1, 2, 3]


def test_forgetting_counts_from_right_to_wrong():
    history = np.array([[1, 0, 1, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])  # image x epoch
    watch = Forgetting(torch.zeros(4, dtype=torch.int64))
    for right in history.T:
        for rows in (torch.tensor([[2, 0]]), torch.tensor([[1, 3]])):
            logits = torch.stack(
                [torch.tensor([1.0, 0.0]) if right[i] else torch.tensor([0.0, 1.0]) for i in rows[0]]
            )
            watch.see(rows, logits[None])
    assert watch.events(never_right=99).tolist() == [2, 0, 99, 0]


def test_images_that_were_never_right_are_the_most_forgotten(data):
    """A network that does not change classifies an image correctly in every epoch or in none."""
    standing = Recipe("features", epochs=3, lr=0, momentum=0, weight_decay=0, batch=16, augmentation="none")
    trained = pretrain(data, "mlp", standing, 0, problems.CPU)
    net = networks.build("mlp", channels=3, size=(16, 16), classes=3)
    net.load_state_dict({key: trained[f"network.{key}"] for key in net.state_dict()})
    with torch.no_grad():
        logits = net(data.train.batch(np.arange(len(data.train)), torch.device("cpu")))
    wrong = logits.argmax(1) != torch.as_tensor(data.train.labels)
    assert 0 < wrong.sum() < len(wrong)
    # More than the largest number of forgetting events in E + 1 = 4 epochs.
    assert trained["forgetting_events"].tolist() == [5 if each else 0 for each in wrong]


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_stopped_pretraining_goes_on_to_the_same_tensors(data, tmp_path, epochs):
    class Stopping(Checkpoint):
        def save(self, step, state):
            super().save(step, state)
            if step == epochs:
                raise KeyboardInterrupt

    def trained(run: Run) -> dict[str, torch.Tensor]:
        return pretrain(data, "mlp", learning, 0, problems.CPU, run=run)

    learning = Recipe(
        "features", epochs=4, lr=0.01, momentum=0.9, weight_decay=0, batch=16, augmentation="none"
    )
    with pytest.raises(KeyboardInterrupt):
        trained(Run(Stopping(tmp_path / "state", "test", every_seconds=0)))
    resumed = trained(Run(Checkpoint(tmp_path / "state", "test")))
    whole = trained(Run())
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def test_forgetting_takes_the_most_forgotten(data, features):
    events = read_tensors(features)[0]["forgetting_events"].numpy()
    chosen = methods.get("forgetting").condense(
        problems.problem(data, ipc=5, trained={"features": [features]})
    )
    train = data.train.batch(np.arange(len(data.train)), torch.device("cpu"))
    for c in range(3):
        pool = data.train.indices_of(c)
        picked = [
            next(i for i in pool if torch.equal(train[i], image))
            for image in chosen.images[chosen.labels == c]
        ]
        assert sorted(events[picked]) == sorted(events[pool])[-5:]


@pytest.mark.parametrize("network", ["convnet-d2-w16", "convnet-d1-w16-bn"])
@pytest.mark.parametrize(
    ("name", "parameters", "select"),
    [("herding", {}, herd), ("herding", {"greedy": False}, nearest), ("kcenter", {}, k_center)],
)
def test_images_are_chosen_by_the_features_of_the_trained_network(
    data, tmp_path, network, name, parameters, select
):
    """By the inputs of the classifier, not its outputs, with the running statistics of batch norm."""
    file = problems.features_file(tmp_path, data, network)
    net = networks.build(network, channels=3, size=(16, 16), classes=3)
    saved = read_tensors(file)[0]
    net.load_state_dict({key: saved[f"network.{key}"] for key in net.state_dict()})
    net.eval()
    synthetic = methods.get(name).condense(
        problems.problem(data, network=network, ipc=6, parameters=parameters, trained={"features": [file]})
    )
    for c in range(3):
        pool = data.train.indices_of(c)
        # One image at a time, so that no image changes the features of another.
        images = data.train.batch(pool, torch.device("cpu")).split(1)
        with torch.no_grad():
            expected = select(torch.cat([net.embed(image) for image in images]), 6)
        assert torch.equal(synthetic.images[synthetic.labels == c], torch.cat(images)[expected])


@pytest.mark.parametrize("name", ["herding", "kcenter", "forgetting"])
def test_selected_images_are_real_and_shards_agree(data, features, name):
    whole = methods.get(name).condense(problems.problem(data, ipc=4, trained={"features": [features]}))
    train = data.train.batch(np.arange(len(data.train)), torch.device("cpu"))
    for image, label in zip(whole.images, whole.labels, strict=True):
        indices = [i for i in range(len(train)) if torch.equal(train[i], image)]
        assert indices
        assert data.train.labels[indices[0]] == label
    shard = methods.get(name).condense(
        problems.problem(data, ipc=4, trained={"features": [features]}, classes=(1,))
    )
    assert torch.equal(shard.images, whole.images[whole.labels == 1])


def test_random_is_uniform_without_replacement(data):
    counts = np.zeros(len(data.train))
    for seed in range(200):
        problem = problems.problem(data, ipc=5, seed=seed)
        rows = problem.random_images(0)
        assert len(set(rows)) == 5
        counts[rows] += 1
    pool = counts[data.train.indices_of(0)]
    expected = 200 * 5 / len(pool)
    assert counts.sum() == pool.sum() == 1000
    assert abs(pool - expected).max() < 5 * expected**0.5


def test_a_features_file_of_another_network_is_refused(data, features):
    with pytest.raises(CondenseryError, match="convnet-d1-w16"):
        methods.get("herding").condense(
            problems.problem(data, network="convnet-d1-w16", trained={"features": [features]})
        )


def test_a_missing_features_file_is_named(data):
    with pytest.raises(CondenseryError, match="--with features"):
        methods.get("kcenter").condense(problems.problem(data))


def test_more_images_than_a_class_has_are_refused(data):
    with pytest.raises(CondenseryError, match=r"ipc 21 is more than the 20 training images of class"):
        problems.problem(data, ipc=21)


def test_the_features_network_is_the_trained_one(data, features):
    from condensery.files import read_tensors

    tensors, _ = read_tensors(features)
    stacked = StackedNetworks("convnet-d2-w16", data.info, [0], problems.CPU, images=0)
    stacked.load({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    assert accuracies(stacked, data.test)[0] > 60  # chance is 33


def test_the_features_network_starts_like_no_evaluation_network(data):
    standing = Recipe("features", epochs=0, lr=0, momentum=0, weight_decay=0, batch=16, augmentation="none")
    weights = pretrain(data, "mlp", standing, 0, problems.CPU)
    evaluated = StackedNetworks("mlp", data.info, range(20), problems.CPU, images=0).state()
    for name, tensors in evaluated.items():
        if name.endswith("weight"):
            assert not any(torch.equal(weights[f"network.{name}"], tensor) for tensor in tensors)
