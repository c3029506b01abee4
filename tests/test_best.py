"""The command best: the snapshot that it keeps, the images that it reads, and its refusals."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from condensery import data
from condensery.commands import best
from condensery.data.views import held_out
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import evaluate
from condensery.training.recipes import resolve
from condensery.training.samples import Samples
from tests import problems
from tests.scripts import ROOT
from tests.test_search_scripts import Untouchable

REAL = problems.real_data(per_class=40)
NETWORK = "convnet-d2-w8"
SPLIT = {"validation": 0.25, "seed": 0, "training_images": None}


def snapshot(folder: Path, step: int, split: dict[str, Any] | None = SPLIT) -> SyntheticSet:
    """Write and return a set of real images whose labels are correct only in step 2."""
    view = dataclasses.replace(problems.problem(REAL, ipc=4, network=NETWORK))
    synthetic = view.select([view.random_images(c) for c in view.classes])
    synthetic = dataclasses.replace(
        synthetic, images=synthetic.images if step == 2 else synthetic.images.flip(0).contiguous()
    )
    about = {"dataset": "patterns", "method": "dm", "ipc": 4, "seed": 3} | ({"split": split} if split else {})
    synthetic.provenance = {"experiment": about, "snapshot": {"step": step, "seconds": 1.0, "device": "cpu"}}
    synthetic.save(folder / f"step{step}.safetensors")
    return synthetic


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., SyntheticSet]:
    """Return a function that runs the command on the folder of this test, without test images."""
    (tmp_path / "snapshots").mkdir()

    def run() -> SyntheticSet:
        monkeypatch.setattr(data, "load", lambda folder: dataclasses.replace(REAL, test=Untouchable()))
        out = tmp_path / "best.safetensors"
        words = ["--data", "digits", "--protocol", "smoke", "--device", "cpu", "--network", NETWORK]
        words += ["--config", str(ROOT / "config"), "--recipe", "dsa", "--networks", "2", "--out", str(out)]
        monkeypatch.setattr(sys, "argv", ["best", str(tmp_path / "snapshots"), *words])
        best.main()
        return SyntheticSet.load(out)

    return run


def test_the_snapshot_that_validates_best_is_kept_and_no_test_image_is_seen(
    run: Callable[..., SyntheticSet], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [snapshot(tmp_path / "snapshots", step) for step in (1, 2, 10)]
    kept = run()
    assert torch.equal(kept.images, sets[1].images)
    assert kept.provenance["validated"]["step"] == 2
    assert "snapshot" not in kept.provenance
    assert kept.provenance["experiment"] == sets[1].provenance["experiment"]
    # The same by hand: the last two networks of the set, tested on the validation images.
    recipe = resolve({"name": "dsa"} | kept.provenance["selected"]["recipe"], sets[1])
    test = held_out(REAL, 0.25, 0).test
    outcomes = evaluate(
        NETWORK, Samples.of_set(sets[1], problems.CPU), test, recipe, [3998, 3999], problems.CPU
    )
    expected = sum(outcome.accuracy for outcome in outcomes) / 2
    assert kept.provenance["validated"]["accuracy"] == pytest.approx(expected)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()][:3] == [
        "step 1",
        "step 2",
        "step 10",
    ]


def test_snapshots_that_have_seen_all_training_images_are_refused(
    run: Callable[..., SyntheticSet], tmp_path: Path
) -> None:
    with pytest.raises(CondenseryError, match="no snapshots"):
        run()
    snapshot(tmp_path / "snapshots", 1, split=None)
    with pytest.raises(CondenseryError, match="without validation images"):
        run()


def test_snapshots_of_two_sets_are_refused(run: Callable[..., SyntheticSet], tmp_path: Path) -> None:
    snapshot(tmp_path / "snapshots", 1)
    snapshot(tmp_path / "snapshots", 2, split=SPLIT | {"seed": 1})
    with pytest.raises(CondenseryError, match="of different sets"):
        run()


def test_experts_that_may_have_seen_validation_images_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from condensery.commands import condense

    monkeypatch.setattr(data, "load", lambda folder: REAL)
    experts = problems.experts_file(tmp_path, REAL, NETWORK)
    words = [
        "--data",
        "digits",
        "--protocol",
        "smoke",
        "--device",
        "cpu",
        "--network",
        NETWORK,
        "--seed",
        "0",
    ]
    words += ["--config", str(ROOT / "config"), "--method", "mtt", "--ipc", "1", "--validation", "0.1"]
    words += ["--with", f"experts={experts}", "--out", str(tmp_path / "set.safetensors")]
    monkeypatch.setattr(sys, "argv", ["condense", *words])
    with pytest.raises(CondenseryError, match="may have seen validation images"):
        condense.main()
    monkeypatch.setattr(sys, "argv", ["condense", *words[:-6], "--validation", "1.5", *words[-4:]])
    with pytest.raises(CondenseryError, match="give a share between 0 and 1"):
        condense.main()
