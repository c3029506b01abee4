"""Architecture search: the space of networks, their training, and the comparison of rankings."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condensery import networks
from condensery.data import views
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.experiment.plans import PER_WIDTH, WIDTHS, Search
from condensery.machine.device import Device
from condensery.run import Checkpoint, Run
from condensery.search import candidates, ranking, space
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from tests import problems
from tests.interrupted import Recorded, Shared

CONFIG = Path(__file__).parents[1] / "config"
NAMES = ["convnet-d1-w32", "convnet-d2-w32-bn-max", "convnet-d1-w32-nonorm-nopool"]
RECIPE = Recipe("search", epochs=3, lr=1e-5, momentum=0.9, weight_decay=5e-4, batch=8, augmentation="none")


# The networks


def test_the_space_is_that_of_the_paper_whatever_the_widths() -> None:
    assert len(networks.search_space()) == 720
    for width in WIDTHS:
        names = networks.search_space([width])
        assert len(names) == PER_WIDTH
        assert set(names) < set(networks.search_space())
        assert all(("w" + str(width) in name.split("-")) == (width != 128) for name in names)


def test_networks_are_drawn_without_replacement_and_all_of_them_are_all() -> None:
    assert space.draw(720, WIDTHS, seed=5) == networks.search_space()
    some = space.draw(60, (32, 64), seed=0)
    assert len(set(some)) == 60
    assert set(some) <= set(networks.search_space((32, 64)))
    assert some == space.draw(60, (32, 64), seed=0) != space.draw(60, (32, 64), seed=1)
    with pytest.raises(CondenseryError, match="181 networks are more than the 180 of width 32"):
        space.draw(181, (32,), seed=0)


@pytest.mark.parametrize(("networks", "per_job"), [(720, 24), (60, 7), (6, 6), (5, 9)])
def test_jobs_share_the_networks_out(networks: int, per_job: int) -> None:
    search = dataclasses.replace(load_config(CONFIG, "paper").search, networks=networks)
    parts = dataclasses.replace(search, networks_per_job=per_job).parts()
    names = [f"network{i}" for i in range(networks)]
    shared = [space.part(names, part) for part in parts]
    assert sorted(itertools.chain(*shared)) == sorted(names)
    assert max(map(len, shared)) <= per_job


@pytest.mark.parametrize("wrong", ["", "3", "0-of-2", "3-of-2", "1-of-0", "a-of-b", "-1-of-2"])
def test_a_part_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(CondenseryError, match="write K-of-N"):
        space.part(NAMES, wrong)


# The protocol of the papers (DM section 3.6, appendix A.3)


def test_the_papers_protocol_has_the_published_values() -> None:
    config = load_config(CONFIG, "paper")
    search = config.search
    assert (search.dataset, search.ipc, search.networks, search.repeats) == ("cifar10", 50, 720, 5)
    # The paper's, and DC.
    assert search.candidates == ("random", "dc", "dsa", "dm", "early_stopping", "whole")
    assert search.split == {"validation": 0.1, "training_images": None, "seed": 0}
    on_proxy, on_whole = (config.recipe(name, "cifar10") for name in ("search", "search_whole"))
    assert (on_proxy["epochs"], on_proxy["batch"]) == (200, 250)
    assert on_proxy["augmentation"] == config.augmentation("cifar10")
    assert (on_whole["epochs"], on_whole["batch"], on_whole["augmentation"]) == (100, 250, "none")


def test_early_stopping_takes_the_steps_of_a_proxy_at_its_learning_rates() -> None:
    values = load_config(CONFIG, "paper").recipe("search", "cifar10")
    on_proxy, early = Recipe(**values), candidates.EarlyStopping(**values, proxy_images=500)

    def samples(count: int) -> Samples:
        return Samples(torch.zeros(count, dtype=torch.int64), lambda rows: rows)

    assert candidates.steps(samples(500), on_proxy) == candidates.steps(samples(45000), early) == 201 * 2
    when = [(epoch, step) for epoch in range(201) for step in range(2)]
    assert [on_proxy.rate(*each) for each in when] == [early.rate(*each) for each in when]


@given(count=st.integers(1, 30), proxy=st.integers(1, 40), batch=st.integers(1, 12))
def test_early_stopping_goes_through_the_whole_set_in_order(count: int, proxy: int, batch: int) -> None:
    fields = dataclasses.asdict(RECIPE) | {"batch": batch}
    recipe = candidates.EarlyStopping(**fields, proxy_images=proxy)
    orders = [recipe.order(count, 7, epoch) for epoch in range(6)]
    size = math.ceil(proxy / batch) * batch
    assert {len(order) for order in orders} == {size}
    # No image is repeated before all others have been used as often.
    seen = torch.cat(orders).tolist()
    for stop in range(0, len(seen), max(1, len(seen) // 7)):
        times = Counter(seen[:stop])
        assert max((times[i] for i in range(count)), default=0) - min(times[i] for i in range(count)) <= 1
    assert torch.equal(orders[3], recipe.order(count, 7, 3))


def test_early_stopping_on_sets_of_the_proxys_size_is_training_on_it() -> None:
    recipe = candidates.EarlyStopping(**dataclasses.asdict(RECIPE), proxy_images=16)
    for epoch in range(3):
        assert torch.equal(recipe.order(16, 1, epoch), RECIPE.order(16, 1, epoch))


# Training


@pytest.fixture(scope="module")
def search_data():
    return views.held_out(problems.real_data(classes=8, per_class=10), 0.4, seed=0)


def accuracies(outcomes) -> list[list[float]]:
    return [[outcome.accuracy for outcome in each] for each in outcomes]


def train(data, device: Device = problems.CPU, names=NAMES, **more):
    samples = Samples.of_split(data.train, device)
    return candidates.train_all(names, samples, data.test, RECIPE, range(2), device, **more)


def test_a_network_does_not_depend_on_those_beside_it(search_data) -> None:
    together = train(search_data)
    assert accuracies(together) == [accuracies(train(search_data, names=[name]))[0] for name in NAMES]
    assert [[outcome.network_seed for outcome in each] for each in together] == [[0, 1]] * 3
    assert len({tuple(each) for each in accuracies(together)}) > 1


@pytest.mark.parametrize("memory", [10**9, 1])
def test_repeats_trained_at_once_score_as_one_by_one(search_data, monkeypatch, memory: int) -> None:
    expected = accuracies(train(search_data))
    monkeypatch.setattr(Device, "stack_networks", True)
    device = dataclasses.replace(problems.CPU, memory_bytes=memory)
    once = 100 / len(search_data.test)  # sums in another order may change the class of an image
    assert np.abs(np.subtract(accuracies(train(search_data, device)), expected)).max() <= once + 1e-9


@pytest.mark.parametrize("stacked", [False, True])
def test_progress_counts_the_epochs_of_all_networks_and_repeats(search_data, monkeypatch, stacked) -> None:
    monkeypatch.setattr(Device, "stack_networks", stacked)
    steps = problems.Steps()
    train(search_data, run=Run(progress=steps))
    at_once = 2 if stacked else 1
    assert steps.seen == list(range(at_once, 3 * 2 * RECIPE.epochs_run + 1, at_once))


@pytest.mark.parametrize("stop_at", [1, 5, 13, 22])
def test_a_stopped_job_resumes_where_it_was(search_data, tmp_path, monkeypatch, stop_at: int) -> None:
    def checkpoint() -> Checkpoint:
        return Checkpoint(tmp_path / "job", "search", every_seconds=0)

    expected = accuracies(train(search_data))
    saves: list[Path] = []
    save = Checkpoint.save

    def stopping(self, step, state):
        save(self, step, state)
        saves.append(self.path)
        if len(saves) == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(search_data, run=Run(checkpoint()))
    assert accuracies(train(search_data, run=Run(checkpoint()))) == expected
    # Each of 3 networks has 2 repeats of 4 epochs; the end of each repeat and network is saved as well. No
    # saved work is repeated.
    assert len(saves) == 3 * (2 * (4 + 1) + 1)
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("stop_at", [3, 16])
def test_a_stopped_job_goes_on_where_other_repeats_are_trained_at_once(
    search_data, tmp_path, monkeypatch, stop_at: int, at_once: bool
) -> None:
    def run() -> Run:
        return Run(Checkpoint(tmp_path / "job", "search", every_seconds=0))

    expected = accuracies(train(search_data))
    saves: list[int] = []
    save = Checkpoint.save

    def stopping(self, step, state):
        save(self, step, state)
        saves.append(step)
        if len(saves) == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", stopping)
    monkeypatch.setattr(Device, "stack_networks", at_once)
    with pytest.raises(KeyboardInterrupt):
        train(search_data, run=run())
    monkeypatch.setattr(Device, "stack_networks", not at_once)
    found = train(search_data, run=run())
    assert [[outcome.network_seed for outcome in each] for each in found] == [[0, 1]] * 3
    once = 100 / len(search_data.test)  # sums in another order may change the class of an image
    assert np.abs(np.subtract(accuracies(found), expected)).max() <= once + 1e-9


@pytest.mark.parametrize("ahead", [-7, -2, -1, 3])
def test_a_job_beside_another_with_its_output_takes_no_outcome_from_it(
    search_data, tmp_path, ahead: int
) -> None:
    expected = accuracies(train(search_data))
    other = Recorded(tmp_path / "other")
    train(search_data, run=Run(other))
    job = Shared(tmp_path / "job", other.states, ahead)
    assert accuracies(train(search_data, run=Run(job))) == expected


# Ranking


def plain_spearman(x: list[float], y: list[float]) -> float:
    """Pearson's correlation of the ranks; equal values share their mean rank."""

    def ranks(values: list[float]) -> list[float]:
        return [sum(v < w for v in values) + (values.count(w) + 1) / 2 for w in values]

    a, b = np.array(ranks(x)), np.array(ranks(y))
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def plain_kendall(x: list[float], y: list[float]) -> float:
    """Tau-b: concordant minus discordant pairs, over the geometric mean of the pairs untied in x and in y."""
    pairs = list(itertools.combinations(zip(x, y, strict=True), 2))
    product = [np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in pairs]
    untied = [sum(a[i] != b[i] for a, b in pairs) for i in (0, 1)]
    return float(sum(product) / math.sqrt(untied[0] * untied[1]))


values = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(values, values), min_size=2, max_size=25))
def test_correlations_are_those_of_their_definitions(pairs: list[tuple[float, float]]) -> None:
    x, y = (list(column) for column in zip(*pairs, strict=True))
    index = [f"network{i}" for i in range(len(x))]
    # In another order, and with more networks than are compared.
    whole = pd.Series([*y, 99.0], index=[*index, "another"]).iloc[::-1]
    found = ranking.agreement(pd.Series(x, index=index), whole)
    assert found.networks == len(x)
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert math.isnan(found.spearman)
        assert math.isnan(found.kendall)
    else:
        assert found.spearman == pytest.approx(plain_spearman(x, y))
        assert found.kendall == pytest.approx(plain_kendall(x, y))


@pytest.mark.parametrize(("count", "best"), [(720, 36), (60, 3), (61, 4), (6, 1), (1, 1)])
def test_the_top_is_five_percent(count: int, best: int) -> None:
    scores = pd.Series({f"network{i:03d}": float(i) for i in range(count)})
    assert ranking.top(scores.sample(frac=1, random_state=0)) == [
        f"network{count - 1 - i:03d}" for i in range(best)
    ]


def test_equal_scores_are_ranked_by_name() -> None:
    assert ranking.ranked(pd.Series({"c": 1.0, "a": 1.0, "d": 2.0, "b": 1.0})) == ["d", "a", "b", "c"]


def rows(**accuracy: dict[str, list[float]]) -> pd.DataFrame:
    """Return rows with the columns of a ranking, from proxy -> network -> accuracies."""
    return pd.DataFrame(
        [
            {"proxy": proxy, "network": network, "validation_accuracy": value}
            for proxy, networks in accuracy.items()
            for network, values in networks.items()
            for value in values
        ]
    )


def test_scores_are_means_over_repeats() -> None:
    found = ranking.scores(rows(dm={"b": [50, 60], "a": [70, 71]}, whole={"a": [90, 80], "b": [10, 20]}))
    assert found["dm"].to_dict() == {"a": 70.5, "b": 55}
    assert found["whole"].to_dict() == {"a": 85, "b": 15}


@pytest.mark.parametrize("missing", [{"b": [1, 2], "a": [3]}, {"b": [1, 2]}])
def test_a_network_of_which_rows_are_missing_is_named(missing: dict[str, list[float]]) -> None:
    count = len(missing.get("a", []))
    with pytest.raises(CondenseryError, match=f"a has {count} rows of dm where others have 2"):
        ranking.scores(rows(dm=missing, whole={"a": [1, 2], "b": [1, 2]}))


def test_early_stopping_and_the_whole_set_are_no_synthetic_sets() -> None:
    search = Search("digits", ("dm", "early_stopping"), 10, 6, 1, 0.1, 0, 6)
    assert [search.set_of(each, "convnet") for each in search.candidates] == [
        ("digits", "dm", "convnet", 10, 0),
        None,
        None,
    ]
