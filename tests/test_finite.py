"""Work stops when its values are not finite; it names the steps and keeps its last finite checkpoint."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from condensery import generators, methods
from condensery.errors import CondenseryError
from condensery.pool.states import train_states
from condensery.progress import Progress
from condensery.run import Checkpoint, Run, not_finite
from condensery.search import candidates
from condensery.training import evaluation
from condensery.training.pretrained import pretrain
from tests import problems
from tests.test_dd import problem as dd_problem
from tests.test_generators import KINDS, setting
from tests.test_gradient_matching import problem as matching_problem
from tests.test_ld import problem as ld_problem
from tests.test_mmd import problem as mmd_problem
from tests.test_training import RECIPE, samples_of

HUGE = 1e30


class Value:
    """Work with one number, which is not finite from a chosen step on."""

    def __init__(self, until: int) -> None:
        self.until, self.value = until, 0.0

    def step(self, step: int) -> None:
        self.value = float(step + 1) if step + 1 < self.until else math.inf

    def state(self):
        return {"value": torch.tensor(self.value), "count": torch.tensor(3)}

    def restore(self, state):
        self.value = state["value"].item()


def run_of(tmp_path: Path, every_seconds: float = 0) -> Run:
    return Run(Checkpoint(tmp_path / "state", "test", every_seconds), Progress("work", 9, "steps"))


def carry_out(run: Run, work: Value, total: int = 9) -> None:
    for step in run.steps(total, work):
        work.step(step)


def test_a_state_that_is_not_finite_is_never_saved(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    with pytest.raises(CondenseryError, match=r"^work: value is not finite between steps 4 and 5: lower .*"):
        carry_out(run, Value(5))
    step, tensors = Checkpoint(tmp_path / "state", "test").load()
    assert (step, tensors["work/value"].item()) == (4, 4.0)


def test_the_end_of_the_work_is_checked_without_a_checkpoint_as_well() -> None:
    with pytest.raises(CondenseryError, match="value is not finite between steps 0 and 9"):
        carry_out(Run(), Value(7))
    carry_out(Run(), Value(10))


def test_a_figure_that_is_not_finite_is_not_reported(tmp_path: Path) -> None:
    run = run_of(tmp_path, every_seconds=100)
    run.save(20)
    run.report(30, loss=torch.tensor(0.5))
    with pytest.raises(CondenseryError, match=r"loss is nan between steps 30 and 40.*state keeps step 20$"):
        run.report(40, loss=torch.tensor(math.nan))
    assert run.progress.done == 30


def test_work_that_may_diverge_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        carry_out(replace(run_of(tmp_path), may_diverge=True), Value(5))
    assert len(caplog.messages) == 1
    assert "value is not finite" in caplog.messages[0]


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    good, bad = torch.ones(2, 2), torch.tensor([1.0, math.nan])
    assert not_finite({"a": good, "b": torch.tensor(3), "c": torch.empty(0)}) is None
    assert not_finite({"a": good, "b": bad, "c": bad}) == "b"


CASES = {
    "dm": lambda: problems.problem(parameters={"lr_img": HUGE}),
    "dc": lambda: matching_problem(parameters={"lr_img": HUGE}),
    "dsa": lambda: matching_problem(parameters={"lr_img": HUGE}),
    "mmd": lambda: mmd_problem(parameters={"lr_img": HUGE, "kernel": "polynomial"}),
    "dd": lambda: dd_problem(parameters={"lr_img": HUGE}),
    "ld": lambda: ld_problem(parameters={"lr_inner": HUGE, "lr_net": HUGE}),
}


@pytest.mark.parametrize("method", CASES)
@pytest.mark.parametrize("watched", [True, False])
def test_no_method_returns_what_is_not_finite(method: str, watched: bool, tmp_path: Path) -> None:
    run = run_of(tmp_path, every_seconds=100) if watched else Run()
    with pytest.raises(CondenseryError, match=r"between steps \d+ and \d+: lower the learning rate"):
        methods.get(method).condense(CASES[method](), run=run)


@pytest.mark.parametrize("kind", KINDS)
def test_no_generator_is_returned_that_is_not_finite(kind: str) -> None:
    with pytest.raises(CondenseryError, match="is not finite between steps 0 and 2"):
        generators.train(kind, setting(kind, iterations=2, lr=math.inf))


FAST = replace(RECIPE, epochs=1, lr=HUGE)


def test_no_network_is_tested_whose_weights_are_not_finite() -> None:
    data = problems.real_data()
    with pytest.raises(CondenseryError, match="is not finite between steps 0 and"):
        evaluation.evaluate("convnet-d2-w8", samples_of(data), data.test, FAST, [0, 1], problems.CPU)
    with pytest.raises(CondenseryError, match="is not finite between steps 0 and"):
        pretrain(data, "convnet-d2-w8", FAST, 0, problems.CPU)
    with pytest.raises(CondenseryError, match="is not finite between steps 0 and"):
        train_states(data, "convnet-d2-w8", FAST, [0], [1], problems.CPU)


def test_a_network_of_a_search_may_diverge(caplog: pytest.LogCaptureFixture) -> None:
    data = problems.real_data()
    with caplog.at_level(logging.WARNING):
        (outcomes,) = candidates.train_all(
            ["convnet-d2-w8"], samples_of(data), data.test, FAST, [0], problems.CPU
        )
    assert 25 < outcomes[0].accuracy < 40
    assert "its accuracy is that of chance" in caplog.text
