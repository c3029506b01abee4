"""Targets of continual learning in config/: the values of the papers, and refusals."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from condensery.errors import CondenseryError
from condensery.experiment import load_config, memories
from tests.test_experiment import CONFIG, edit


def test_the_paper_compares_the_published_memories() -> None:
    config = load_config(CONFIG, "paper")
    for target, steps in (("continual5", 5), ("continual10", 10)):
        found = memories.memories(config, target)
        assert {m.method for m in found} == {"random", "herding", "dsa", "dm"}
        assert {(m.tasks, m.steps, m.ipc) for m in found} == {("cifar100", steps, 20)}
        assert {memories.networks(config, m) for m in found} == {3}
        assert {m.order for m in found} == set(range(5))
    (tasks,) = {m.tasks for m in memories.memories(config, "dsa_continual")}
    assert tasks == "svhn+mnist+usps"
    assert memories.common_shape(config, tasks.split("+")) == (3, 32, 32)
    assert config.recipe(memories.RECIPE, "cifar100", 20)["epochs"] == 1000


def test_dsa_has_published_loops_for_the_memory() -> None:
    config = load_config(CONFIG, "paper")
    parameters = config.parameters("cifar100", "dsa", "convnet", 20)
    assert (parameters["outer_loop"], parameters["inner_loop"]) == (20, 25)


def test_only_a_memory_that_does_not_depend_on_the_steps_is_shared() -> None:
    config = load_config(CONFIG, "paper")
    common = {"tasks": "cifar100", "steps": 5, "ipc": 20, "order": 3}
    found = {
        (method, network): memories.set_with(
            config, memories.MemoryId(method=method, network=network, **common), 1
        )
        for method in ("random", "dm", "herding", "kcenter", "dsa", "dc")
        for network in ("convnet", "convnet-bn")
    }
    shared = {key for key, whole in found.items() if whole is not None}
    assert shared == {("random", "convnet"), ("dm", "convnet")}
    assert found["dm", "convnet"] == ("cifar100", "dm", "convnet", 20, 3)


def test_a_target_that_is_not_listed_is_refused() -> None:
    config = load_config(CONFIG, "laptop")
    del config.spec["continual"]["continual10"]
    with pytest.raises(CondenseryError, match="unknown target 'continual10'"):
        memories.memories(config, "continual10")
    with pytest.raises(CondenseryError, match="lists no target 'continual10'"):
        config.refuse_unlisted(["continual10"])


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("continual5", "dataset"), "digit", "continual.continual5: unknown data set 'digit'"),
        (("continual5", "methods"), ["dmm"], "continual.continual5.methods: unknown method 'dmm'"),
        (("continual5", "ipc"), 141, "continual.continual5.ipc: 141 images per class"),
        (("continual5", "steps"), 3, "10 classes cannot be split evenly into 3"),
        (("continual5", "steps"), 1, "continual.continual5.steps: must be at least 2"),
        (("continual5", "step"), 5, "unknown key 'step'; did you mean 'steps'"),
        (("dsa_continual", "datasets"), ["digits"], "must be a list of at least 2"),
        (("dsa_continual", "datasets"), ["digits", "cifar100"], "have 10 and 100 classes"),
        (("continual7",), {}, "continual: unknown key 'continual7'"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, keys: tuple[str, ...], value: Any, message: str
) -> None:
    folder = shutil.copytree(CONFIG, tmp_path / "config")
    edit(folder / "protocols" / "smoke.yaml", ("continual", *keys), value)
    with pytest.raises(CondenseryError) as caught:
        load_config(folder, "smoke")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
