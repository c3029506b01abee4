"""Whether compiling pays: stated for a CPU, measured on an accelerator."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from condensery.machine import compiling
from harness import simulated
from tests import problems

CPU = torch.device("cpu")


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_a_cpu_compiles_what_saves_the_time_of_compiling(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    enough = threads * compiling.SECONDS / compiling.SAVED_BY_A_CORE
    assert compiling.pays(CPU, 1.001 * enough)
    assert not compiling.pays(CPU, 0.999 * enough)


def test_little_work_is_left_as_it_is() -> None:
    device = dataclasses.replace(problems.CPU, compile=True)
    network = torch.nn.ReLU()
    assert device.compiled(network, 1e6) is network


def test_an_accelerator_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one that takes a millisecond for each operation, the passes take some and a copy takes one."""
    monkeypatch.setattr(compiling, "_MAPS", (2, 4, 8, 8))
    activations = 3.25 * 2 * 4 * 8 * 8
    with simulated.present() as device, simulated.counted() as counts:
        monkeypatch.setattr(time, "perf_counter", lambda: 1e-3 * counts.operations)
        saved = compiling.seconds_saved(device)
        assert 3e-3 < saved * activations < 30e-3
        before = counts.operations
        assert compiling.seconds_saved(device) == saved
        assert counts.operations == before
    assert compiling.pays(device, 1.001 * compiling.SECONDS / saved)
    assert not compiling.pays(device, 0.999 * compiling.SECONDS / saved)
