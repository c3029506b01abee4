"""Pools: their groups, the training of their networks, resuming, and DM with their networks."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from condensery import methods, networks, streams
from condensery.data import RealData
from condensery.data.views import held_out
from condensery.errors import CondenseryError
from condensery.experiment import groups
from condensery.experiment.plans import state_steps
from condensery.machine.device import Device
from condensery.methods.dm import Matcher
from condensery.pool import states, store
from condensery.pool.store import Pool, State
from condensery.run import Checkpoint, Run
from condensery.training.recipes import Recipe
from tests import problems

NETWORK = "convnet-d2-w16"
RECIPE = Recipe("pool", epochs=2, lr=0.02, momentum=0.9, weight_decay=0.0, batch=16, augmentation="none")
STATE_STEPS = [1, 3, 4, 9]


class Stopped(Exception):
    """Raised in place of a kill."""


def small_data() -> RealData:
    """Return 45 training images and 10 to validate with."""
    view = held_out(problems.real_data(), 10 / 55, seed=0)
    assert (len(view.train), len(view.test)) == (45, 10)
    return view


def trained(numbers, device: Device = problems.CPU, **more) -> list[State]:
    return states.train_states(small_data(), NETWORK, RECIPE, numbers, STATE_STEPS, device, **more)


def file(folder: Path, states, networks: int, **changes) -> Path:
    """Write a part of a pool."""
    path = folder / f"{'-'.join(str(each.network) for each in states)}.safetensors"
    about = {"dataset": "patterns", "network": NETWORK, "networks": networks} | changes
    store.write(path, states, {"experiment": about})
    return path


def invented(folder: Path, accuracies: dict[tuple[int, int], float]) -> list[Path]:
    """Return the files of a pool, one per network, with given accuracies and random weights."""
    info = problems.real_data().info
    net = networks.build(NETWORK, channels=3, size=(info.height, info.width), classes=3)
    size = sum(p.numel() for p in net.parameters())
    numbers = {number for number, _ in accuracies}
    return [
        file(
            folder,
            [
                State(n, step, accuracy, torch.randn(size).half())
                for (n, step), accuracy in accuracies.items()
                if n == number
            ],
            len(numbers),
        )
        for number in numbers
    ]


def read(parts: Sequence[Path]) -> Pool:
    return Pool.open(parts, "patterns", NETWORK)


# Groups


@pytest.mark.parametrize("accuracy", [0, 9.99, 10, 19.99, 20, 45, 69.999, 70, 70.0001, 99, 100])
def test_a_state_is_in_the_group_of_its_accuracy_and_in_all(accuracy: float) -> None:
    found = [group for group in groups.BINS if groups.belongs(accuracy, group)]
    if accuracy < 10:
        expected = []
    elif accuracy >= 70:
        expected = ["70-100"]
    else:
        tens = int(accuracy // 10)
        expected = [f"{tens}0-{tens + 1}0"]
    assert found == expected
    assert groups.belongs(accuracy, groups.ALL)


def test_groups_of_a_pool_are_those_of_its_index(tmp_path: Path) -> None:
    accuracies = {(0, 1): 12.0, (0, 8): 55.0, (1, 1): 8.0, (1, 8): 50.0, (2, 1): 19.0, (2, 8): 61.0}
    pool = read(invented(tmp_path, accuracies))
    # The index, read with another library.
    index = {}
    for path in tmp_path.iterdir():
        with safe_open(path, framework="np") as opened:
            for name in opened.keys():  # noqa: SIM118 - no mapping
                index[name] = opened.get_tensor(name)
    assert set(index) == {f"network{number}.step{step}" for number, step in accuracies}
    for group, wanted in {
        "10-20": [(0, 1), (2, 1)],
        "50-60": [(0, 8), (1, 8)],
        "60-70": [(2, 8)],
        "all": sorted(accuracies),
    }.items():
        members = pool.group(group)
        assert [(each.network, each.step) for each in members] == wanted
        for each in members:
            assert np.array_equal(each.weights().numpy(), index[f"network{each.network}.step{each.step}"])
    with pytest.raises(
        CondenseryError, match=r"group 30-40, only in 10-20 \(2\), 50-60 \(2\), 60-70 \(1\): "
    ):
        pool.group("30-40")


def test_parts_that_are_no_whole_pool_are_refused(tmp_path: Path) -> None:
    weights = torch.zeros(5).half()
    first, second = (file(tmp_path, [State(number, 1, 50.0, weights)], 2) for number in (0, 1))
    assert len(Pool.open([second, first], "patterns", NETWORK).members) == 2
    with pytest.raises(CondenseryError, match="1 networks of a pool of 2: give the files of all"):
        Pool.open([first], "patterns", NETWORK)
    again = file(tmp_path, [State(1, 1, 50.0, weights), State(0, 1, 50.0, weights)], 2)
    with pytest.raises(CondenseryError, match="overlap"):
        Pool.open([first, again], "patterns", NETWORK)
    with pytest.raises(CondenseryError, match="networks of patterns/convnet-d2-w16, but digits/convnet is"):
        Pool.open([first, second], "digits", "convnet")
    other = file(tmp_path, [State(7, 1, 50.0, weights)], 2, recipe="another")
    with pytest.raises(CondenseryError, match="not of the pool of"):
        Pool.open([first, other], "patterns", NETWORK)
    (tmp_path / "none.safetensors").write_bytes(first.read_bytes()[:-3])
    with pytest.raises(CondenseryError, match="not a part of a pool"):
        Pool.open([tmp_path / "none.safetensors"], "patterns", NETWORK)
    features = problems.features_file(tmp_path, problems.real_data())
    with pytest.raises(CondenseryError, match=r"not a part of a pool: give what scripts/pool.py made"):
        Pool.open([features], "patterns", NETWORK)


@given(steps=st.integers(1, 10**5), states=st.integers(1, 40))
def test_states_are_taken_evenly_on_a_logarithmic_axis(steps: int, states: int) -> None:
    taken = state_steps(steps, states)
    assert taken == sorted(set(taken))
    assert len(taken) <= states
    assert taken[-1] == steps
    if states > 1:
        assert taken[0] == 1
        ratio = steps ** (1 / (states - 1))
        for before, after in itertools.pairwise(taken):
            # Whole numbers of steps: each may be half a step off.
            assert after - 0.5 <= ratio * (before + 0.5) * (1 + 1e-9)


# Training


def plain_training(number: int) -> dict[int, tuple[torch.Tensor, float]]:
    """Train a network in a plain loop; return step -> weights and accuracy in percent."""
    data = small_data()
    seed = states.FIRST_SEED + number
    net = networks.build(NETWORK, channels=3, size=(16, 16), classes=3)
    networks.initialize(net, streams.generator(seed, "evaluation-network"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    device = torch.device("cpu")
    labels, found, step = torch.as_tensor(data.train.labels), {}, 0
    for epoch in range(3):
        for rows in RECIPE.order(45, seed, epoch).split(16):
            loss = F.cross_entropy(net(data.train.batch(rows, device)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            right = net(data.test.batch(torch.arange(10), device)).argmax(1).numpy() == data.test.labels
            weights = torch.cat([p.detach().flatten() for p in net.parameters()])
            found[step] = (weights, 100 * float(right.mean()))
    return found


def test_states_are_those_of_a_plain_loop() -> None:
    states = trained([4])
    plain = plain_training(4)
    assert max(plain) == max(STATE_STEPS)
    assert [(each.network, each.step) for each in states] == [(4, step) for step in STATE_STEPS]
    for state in states:
        weights, accuracy = plain[state.step]
        torch.testing.assert_close(state.weights.float(), weights, rtol=2**-10, atol=1e-5)
        assert state.accuracy == pytest.approx(accuracy)


def test_networks_trained_together_are_those_trained_alone() -> None:
    alone = trained([0]) + trained([3])
    stacked = trained([0, 3])
    for one, other in zip(alone, stacked, strict=True):
        assert (one.network, one.step, one.accuracy) == (other.network, other.step, other.accuracy)
        torch.testing.assert_close(one.weights.float(), other.weights.float(), rtol=2**-9, atol=1e-4)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_stopped_training_resumes_to_the_same_states(tmp_path: Path, epochs: int) -> None:
    class Stopping(Checkpoint):
        def save(self, step, state):
            super().save(step, state)
            if step == epochs:
                raise Stopped

    def run(kind: type[Checkpoint]) -> Run:
        return Run(kind(tmp_path / "state", "test", every_seconds=0), steps)

    steps = problems.Steps()
    with pytest.raises(Stopped):
        trained([0, 1], run=run(Stopping))
    steps.seen.clear()
    resumed = trained([0, 1], run=run(Checkpoint))
    assert steps.seen == list(range(epochs + 1, RECIPE.epochs_run + 1))
    again = trained([0, 1], run=run(Checkpoint))  # it is finished
    assert steps.seen == list(range(epochs + 1, RECIPE.epochs_run + 1))
    for one, other, third in zip(trained([0, 1]), resumed, again, strict=True):
        assert one.accuracy == other.accuracy == third.accuracy
        assert torch.equal(one.weights, other.weights)
        assert torch.equal(one.weights, third.weights)


# DM with networks of a pool


def pooled(parts: Sequence[Path], group: str, **changes):
    return problems.problem(trained={"pool": parts}, parameters={"network_group": group} | changes)


def test_the_network_of_a_step_is_a_state_of_the_group(tmp_path: Path) -> None:
    accuracies = {(n, step): 10.0 * step + n for n in range(3) for step in (1, 2, 3)}
    parts = invented(tmp_path, accuracies)
    of_group = {
        (each.network, each.step): each.weights().float()
        for each in read(parts).members
        if 20 <= accuracies[each.network, each.step] < 30
    }
    assert len(of_group) == 3
    problem = pooled(parts, "20-30")
    net = problem.new_network()
    weights = methods.get("dm-pool").weights(problem)
    drawn = []
    for step in range(60):
        weights(net, step)
        flat = torch.cat([p.detach().flatten() for p in net.parameters()])
        (found,) = [name for name, known in of_group.items() if torch.equal(flat, known)]
        drawn.append(found)
    # 20 of each are expected; 8 or fewer of one in 60 has a probability below 1/1000.
    assert all(drawn.count(name) > 8 for name in of_group)
    again = methods.get("dm-pool").weights(problem)
    again(net, 17)
    assert torch.equal(torch.cat([p.detach().flatten() for p in net.parameters()]), of_group[drawn[17]])


def test_everything_but_the_network_is_as_in_dm(tmp_path: Path) -> None:
    problem = pooled(invented(tmp_path, {(0, 1): 50.0}), "all")
    (member,) = read(problem.trained["pool"]).members
    images = problem.initial_images("real")

    def only_member(net, step):
        store.load_weights(net, member.weights())

    matcher, plain = Matcher(problem, methods.get("dm-pool").weights(problem)), Matcher(problem, only_member)
    for step in (0, 2):
        for one, other in zip(matcher.gradient(images, step), plain.gradient(images, step), strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(matcher.gradient(images, 0)[0], Matcher(problem).gradient(images, 0)[0])


def test_random_networks_are_dm(tmp_path: Path) -> None:
    dm = methods.get("dm").condense(problems.problem())
    same = methods.get("dm-pool").condense(pooled([], "random"))
    assert torch.equal(dm.images, same.images)


def test_classes_in_several_jobs_see_the_same_networks(tmp_path: Path) -> None:
    pool = invented(tmp_path, {(n, 1): 50.0 for n in range(5)})
    whole = methods.get("dm-pool").condense(pooled(pool, "50-60"))
    part = dataclasses.replace(pooled(pool, "50-60"), classes=(1, 2))
    torch.testing.assert_close(
        methods.get("dm-pool").condense(part).images, whole.images[2:], rtol=0, atol=1e-5
    )


def test_without_a_pool_it_is_one_line() -> None:
    with pytest.raises(
        CondenseryError, match=r"needs pool: give what scripts/pool.py writes \(--with pool=FILE\)"
    ):
        methods.get("dm-pool").condense(pooled([], "30-40"))
