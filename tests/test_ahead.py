"""Draws in advance: the same values in the same order, whichever thread draws them."""

from __future__ import annotations

import threading

import pytest
import torch

from condensery.machine.ahead import Ahead, until

ELSEWHERE = torch.device("meta")


@pytest.mark.parametrize("device", [torch.device("cpu"), ELSEWHERE])
def test_each_step_gets_its_own_value_also_after_a_jump(device: torch.device) -> None:
    squares = Ahead(lambda step: step**2, until(20), device)
    steps = [0, 1, 2, 3, 10, 11, 19, 25, 4]
    assert [squares(step) for step in steps] == [step**2 for step in steps]


def test_later_steps_are_made_by_other_threads_and_none_past_the_last() -> None:
    drawn: dict[int, str] = {}
    ready = threading.Event()

    def draw(step: int) -> int:
        drawn[step] = threading.current_thread().name
        if step == 3:
            ready.set()
        return step

    ahead = Ahead(draw, until(4), ELSEWHERE)
    ahead(0)
    assert ready.wait(600), "what the next steps need is not made ahead"
    assert [ahead(step) for step in (1, 2, 3)] == [1, 2, 3]
    assert sorted(drawn) == [0, 1, 2, 3]
    assert threading.main_thread().name not in drawn.values()


def test_on_a_cpu_nothing_is_made_before_it_is_asked_for() -> None:
    drawn: list[int] = []
    ahead = Ahead(lambda step: drawn.append(step), until(9), torch.device("cpu"))
    ahead(0)
    ahead(1)
    assert drawn == [0, 1]


def test_an_error_is_that_of_the_step() -> None:
    ahead = Ahead(lambda step: 1 // (step - 2), until(9), ELSEWHERE)
    assert ahead(1) == -1
    with pytest.raises(ZeroDivisionError):
        ahead(2)
    assert ahead(3) == 1
