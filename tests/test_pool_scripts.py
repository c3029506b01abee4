"""The scripts of pools and of experts: the images that they read, and their use together."""

from __future__ import annotations

import dataclasses
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from condensery import data
from condensery.data import RealData, Split
from condensery.data.views import held_out
from condensery.files import read_tensors
from condensery.pool import states
from condensery.run import Checkpoint
from condensery.synthetic import SyntheticSet
from tests import problems
from tests.test_search_scripts import Untouchable

ROOT = Path(__file__).parents[1]
SMALL = {
    "description": "small",
    "sets": 1,
    "networks": 1,
    "whole_networks": 1,
    "methods": {name: {"parameters": {"iterations": 3, "batch_real": 4}} for name in ("dm-pool", "dance")},
    "recipes": {name: {"parameters": {"epochs": 2, "batch": 16}} for name in ("pool", "teacher")}
    | {"expert": {"parameters": {"batch": 16}}},
    "targets": {"table4": [{"datasets": ["digits"], "methods": ["dm-pool"], "ipc": [2]}]},
    "pool": {"networks": 3, "networks_per_job": 2, "states": 3, "validation": 0.2, "seed": 4},
    "pairs": {"networks": 2, "networks_per_job": 1},
    "experts": {"networks": 3, "networks_per_job": 2},
}


@pytest.fixture
def real() -> RealData:
    return problems.real_data(channels=1, size=8)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs a script in this process, under the protocol ``small``, on given data."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config" / "protocols" / "small.yaml").write_text(yaml.safe_dump(SMALL))
    monkeypatch.chdir(tmp_path)

    def run(script: str, real: RealData, *arguments: object) -> None:
        monkeypatch.setattr(data, "load", lambda folder: real)
        common = ["--data", "digits", "--network", "convnet-d2-w16", "--protocol", "small", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", [script, *common, *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / "scripts" / f"{script}.py"), run_name="__main__")
        assert left.value.code == 0

    return run


def make(run, real: RealData) -> list[Path]:
    """Train a pool in two parts; return their files."""
    parts = [Path(f"pool{number}.safetensors") for number in (1, 2)]
    for number, path in enumerate(parts, start=1):
        run("pool", real, "--part", f"{number}-of-2", "--out", path)
    return parts


def test_no_test_and_no_validation_image_is_trained_on(run, real, monkeypatch) -> None:
    """The images of every batch are recorded, with the purpose of the batch."""
    blind = dataclasses.replace(real, test=Untouchable())
    trained, tested = set(), set()
    batch, train, accuracies = Split.batch, states.train, states.accuracies

    def noted(into: set, work):
        def working(*args, **more):
            def seen(split: Split, indices, device) -> torch.Tensor:
                images = batch(split, indices, device)
                into.update(image.numpy().tobytes() for image in images)
                return images

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Split, "batch", seen)
                return work(*args, **more)

        return working

    monkeypatch.setattr(states, "train", noted(trained, train))
    monkeypatch.setattr(states, "accuracies", noted(tested, accuracies))
    run("pool", blind, "--out", "pool.safetensors")

    # The allowed images, by the rule of `views.held_out` alone.
    view = held_out(real, 0.2, seed=4)
    known = {
        name: {i.numpy().tobytes() for i in batch(split, np.arange(len(split)), torch.device("cpu"))}
        for name, split in (("train", view.train), ("validation", view.test), ("test", real.test))
    }
    assert not known["train"] & known["validation"]
    assert trained == known["train"]
    assert tested == known["validation"]
    assert not (trained | tested) & known["test"]


def test_a_pool_in_parts_is_the_pool_of_one_job(run, real, capsys) -> None:
    parts = make(run, real)
    run("pool", real, "--out", "whole.safetensors")
    printed = capsys.readouterr().out
    together = {}
    for path in parts:
        together |= read_tensors(path)[0]
    whole, about = read_tensors(Path("whole.safetensors"))
    # 11 of 55 images validate; 3 passes of 3 batches, states after 1, 3 and 9 of these.
    names = {f"network{number}.step{step}" for number in range(3) for step in (9, 3, 1)}
    assert set(together) == set(whole) == names
    assert all(torch.equal(together[name], whole[name]) for name in names)
    index = about["states"]
    assert [(s["network"], s["step"]) for s in index] == [(n, s) for n in range(3) for s in (1, 3, 9)]
    # The script prints the number of states of each group: the last lines are those of the whole pool.
    lows = [int(10 * min(state["accuracy"] // 10, 7)) for state in index]
    for low in {low for low in lows if low}:
        high = 100 if low == 70 else low + 10
        assert f"group {low}-{high}: {lows.count(low)} of 9 states" in printed
    assert not list(Path().rglob("*.checkpoint*"))


def test_a_pool_leaves_no_checkpoints_of_other_parts(run, real) -> None:
    # As killed runs on other devices leave them, which train other networks together.
    for name in ("pool", "other"):
        Checkpoint(Path(f".{name}.safetensors.checkpoint.networks0to2"), "killed").save(1, {})
        Path(f".partial-00000000-.{name}.safetensors.checkpoint.networks1to2").touch()
    run("pool", real, "--out", "pool.safetensors")
    assert {path.name for path in Path().iterdir()} - {"config"} == {
        "pool.safetensors",
        ".other.safetensors.checkpoint.networks0to2",
        ".partial-00000000-.other.safetensors.checkpoint.networks1to2",
    }


def test_a_set_knows_the_pool_that_it_was_condensed_with(run, real) -> None:
    parts = make(run, real)
    options = ["--method", "dm-pool", "--ipc", 2, "--seed", 0]
    run(
        "condense",
        real,
        *options,
        "--with",
        *(f"pool={part}" for part in parts),
        "--out",
        "pooled.safetensors",
    )
    options[1] = "dm-pool-random"
    run("condense", real, *options, "--out", "random.safetensors")
    pooled, random = (SyntheticSet.load(Path(f"{name}.safetensors")) for name in ("pooled", "random"))
    experiment = pooled.provenance["pool"]
    assert (experiment["networks"], experiment["steps"]) == (3, [1, 3, 9])
    assert experiment["split"] == {"validation": 0.2, "training_images": None, "seed": 4}
    assert "pool" not in random.provenance
    assert not torch.equal(pooled.images, random.images)


def test_pairs_are_of_all_training_images_and_a_set_knows_its_own(run, real, capsys) -> None:
    parts = [Path(f"pairs{number}.safetensors") for number in (1, 2)]
    for number, path in enumerate(parts, start=1):
        run("pairs", dataclasses.replace(real, test=Untouchable()), "--part", f"{number}-of-2", "--out", path)
    printed = capsys.readouterr().out
    for number, path in enumerate(parts):
        tensors, about = read_tensors(path)
        # 2 epochs of 4 batches: 55 images, none of which is held out.
        assert set(tensors) == {f"network{number}.step{step}" for step in (0, 8)}
        accuracy = about["states"][1]["accuracy"]
        assert f"network {number}: {accuracy:.1f} % of the training images" in printed
    trained = ["--with", *(f"pairs={part}" for part in parts)]
    run("condense", real, "--method", "dance", "--ipc", 1, "--seed", 0, *trained, "--out", "set.safetensors")
    experiment = SyntheticSet.load(Path("set.safetensors")).provenance["pairs"]
    assert (experiment["networks"], experiment["steps"], experiment["recipe"]["name"]) == (
        2,
        [0, 8],
        "teacher",
    )


def test_experts_in_parts_are_those_of_one_job_whatever_the_test_images(run, real) -> None:
    others = dataclasses.replace(real, test=real.train)
    parts = [Path(f"experts{number}.safetensors") for number in (1, 2)]
    for number, path in enumerate(parts, start=1):
        run("experts", real, "--epochs", 2, "--part", f"{number}-of-2", "--out", path)
    run("experts", others, "--epochs", 2, "--out", "whole.safetensors")
    together = read_tensors(parts[0])[0] | read_tensors(parts[1])[0]
    whole, about = read_tensors(Path("whole.safetensors"))
    # 55 images are 4 batches.
    names = {f"network{number}.step{step}" for number in range(3) for step in (0, 4, 8)}
    assert set(together) == set(whole) == names
    assert all(torch.equal(together[name], whole[name]) for name in names)
    experiment = about["provenance"]["experiment"]
    assert (experiment["networks"], experiment["steps"], experiment["recipe"]["epochs"]) == (3, [0, 4, 8], 2)
    assert not list(Path().rglob("*.checkpoint*"))
    lowered = "--method mtt --ipc 2 --seed 0 --with experts=whole.safetensors --out set.safetensors"
    with pytest.raises(AssertionError, match="1 == 0"):  # the papers' sets need more epochs
        run("condense", real, *lowered.split())


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        ("condense", ["--method", "dm-pool-20-30", "--ipc", 2, "--seed", 0], "scripts/pool.py writes"),
        ("condense", ["--method", "dance", "--ipc", 2, "--seed", 0], "scripts/pairs.py writes"),
        ("pool", ["--part", "3-of-2"], "such as 1-of-30"),
        ("pool", [], "protocol small has no pool"),
        (
            "experts",
            ["--part", "1-of-2"],
            "no set of digits and convnet-d2-w16 that needs experts",
        ),
        ("experts", ["--epochs", 51], "has 50 epochs of schedule constant, but 51 at a constant rate"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(run, real, capsys, script, words, message) -> None:
    if not words:
        without = {k: v for k, v in SMALL.items() if k != "pool"} | {
            "targets": {"table1": [{"datasets": ["digits"], "methods": ["dm"], "ipc": [2]}]}
        }
        Path("config/protocols/small.yaml").write_text(yaml.safe_dump(without))
    with pytest.raises(AssertionError, match="1 == 0"):
        run(script, real, *words, "--out", "out.safetensors")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not Path("out.safetensors").exists()
