"""The work of continual learning's jobs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from condensery import cost
from condensery.cost import work
from condensery.experiment import Config, load_config

ROOT = Path(__file__).resolve().parents[1]
CLASSES = {
    "tasks": "cifar100",
    "steps": "5",
    "method": "dsa",
    "network": "convnet",
    "ipc": "20",
    "order": "2",
}


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config", "paper")


def test_steps_are_all_of_the_classes(config: Config) -> None:
    for kind, whole in (
        ("continual_memory", {"method": "dsa", "ipc": 20}),
        ("continual_features", {}),
    ):
        steps = [cost.of_job(config, kind, CLASSES | {"step": str(step)}) for step in range(5)]
        rule = "condense" if whole else "pretrain"
        together = cost.of_job(config, rule, {"dataset": "cifar100", "network": "convnet"} | whole)
        assert sum(step.multiply_adds for step in steps) == pytest.approx(together.multiply_adds)


def test_networks_learn_the_memory_of_every_step(config: Config) -> None:
    # 3 networks after each of 5 steps; 400, 800, ... 2000 images for 1,001 epochs; 2000, ... 10000 tested.
    image = work.multiply_adds(config, "cifar100", "convnet")
    amount = cost.of_job(config, "continual_accuracy", CLASSES)
    epochs_run = 3 * sum(1001 * 3 * 400 * step + 2000 * step for step in range(1, 6))
    assert amount.multiply_adds == pytest.approx(epochs_run * image)
    assert amount.steps == 1001 * (2 + 4 + 5 + 7 + 8)


def test_a_sequence_is_learned_twice_from_its_second_task_on(config: Config) -> None:
    wildcards = CLASSES | {"tasks": "svhn+mnist+usps", "steps": "3", "ipc": "10"}
    amount = cost.of_job(config, "continual_accuracy", wildcards)
    once = [work.training(config, name, "sequence", "convnet") for name in ("svhn", "mnist", "usps")]
    # On the joint sets 100, 200 and 300 images for 1,001 epochs, and 1, 2 and 3 test splits, at 32x32.
    joint = 1001 * (1 + 1 + 2)
    assert amount.steps == once[0].steps + 2 * (once[1].steps + once[2].steps) + joint
    # MNIST and USPS are computed at 32x32 there; 28x28 pixels become 32x32 in the network anyway.
    enlarged = once[0].multiply_adds + 2 * (
        once[1].multiply_adds * (32 / 28) ** 2 + once[2].multiply_adds * 4
    )
    image = work.multiply_adds(config, "svhn", "convnet")
    tested = np.cumsum([work.TEST_SHARE * work.training_images(config, n) for n in ("svhn", "mnist", "usps")])
    on_sets = image * (1001 * 3 * (100 + 200 + 300) + tested.sum())
    assert amount.multiply_adds == pytest.approx(3 * (enlarged + on_sets), rel=0.01)
