"""The comparison of later methods with their authors' code: order of the steps, ratios, differences, rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import against_methods
from condensery.errors import CondenseryError
from harness import method_pairs, processes
from harness.against import METHODS, Work
from harness.asking import Worker

WORK = Work("FRePo, few images", "owner/name", ("numpy",), {"ipc": 2})


class Pretended:
    """Both processes: a step of theirs takes 6 or 8 s, one of ours 2 s, and warm-ups 100 s."""

    asked: list[tuple[str, dict[str, Any]]]

    def __init__(self, side: str, *_: object) -> None:
        self._side = side

    def ask(self, **request: Any) -> Any:
        self.asked.append((self._side, request))
        if request["do"] == "check":
            values = {"ours": (1.0, 3.0), "theirs": (2.0, 4.0)}[self._side]
            np.savez(request["path"], loss=np.float64(values[0]), images=np.array([values[1], 0.0]))
        if request["do"] != "step":
            return "numpy 1" if request["do"] == "versions" else None
        if request["number"] < 2:
            return 100.0
        return 2.0 if self._side == "ours" else 6.0 + 2 * (request["number"] % 2)

    def __enter__(self) -> Pretended:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_warm_ups_are_left_out_and_both_sides_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_pairs, "Worker", Pretended)
    Pretended.asked = []
    outcome = method_pairs.compare("frepo", WORK, Path("code"), "python", pairs=3)
    row = outcome.row()
    assert (row["pairs"], row["their_seconds"], row["our_seconds"]) == (3, 6.0, 2.0)
    assert (row["ratio"], row["ratio_least"], row["ratio_most"]) == (3.0, 3.0, 4.0)
    assert (row["loss_difference"], row["gradient_difference"]) == (0.5, 0.25)
    order = [(side, request["number"]) for side, request in Pretended.asked if request["do"] == "step"]
    assert [number for _, number in order] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [side for side, _ in order][:4] == ["ours", "theirs", "theirs", "ours"]
    first = [side for side, request in Pretended.asked if request["do"] == "prepare"]
    assert first == ["ours", "theirs"], "our side writes what the other one reads"


def test_a_difference_is_relative_to_the_largest_value_of_the_other_side() -> None:
    assert method_pairs.difference(np.array([1.0, -8.0]), np.array([1.5, -10.0])) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="shapes differ"):
        method_pairs.difference(np.zeros(3), np.zeros((3, 1)))


def test_a_row_replaces_that_of_the_same_work_only() -> None:
    def row(compiled: bool, ratio: float) -> dict[str, Any]:
        return {"method": "frepo", "step": "FRePo", "compiled": compiled, "ratio": ratio}

    rows = against_methods.replaced([row(True, 1.0), row(False, 2.0)], row(True, 3.0))
    assert sorted((r["compiled"], r["ratio"]) for r in rows) == [(False, 2.0), (True, 3.0)]


def test_a_process_that_stops_is_reported_with_its_last_line(tmp_path: Path) -> None:
    with (
        Worker("theirs", ["harness.method_worker", "none", "theirs"], tmp_path, {}) as worker,
        pytest.raises(CondenseryError, match=r"theirs: the process stopped: .*harness\.against\.none"),
    ):
        worker.ask(do="prepare")


@pytest.mark.parametrize("method", METHODS)
def test_the_side_of_the_authors_needs_no_library_of_this_project(method: str) -> None:
    script = f"import sys, harness.against.{method}.theirs; print(*sys.modules)"
    environment = processes.environment()
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"condensery", "torch", "harness.loops"} & set(done.stdout.split())


@pytest.mark.parametrize("method", METHODS)
def test_our_side_runs_and_writes_what_the_other_one_reads(method: str, tmp_path: Path) -> None:
    """In a process, as measured; the gradients are those of the set before any step."""
    (work,) = method_pairs.works(method, quick=True)
    shared, found = tmp_path / "shared.npz", tmp_path / "found.npz"
    with Worker("ours", ["harness.method_worker", method, "ours"], tmp_path, {}) as worker:
        worker.ask(do="prepare", sizes=dict(work.sizes), shared=str(shared), compiled=False)
        worker.ask(do="check", path=str(found))
        assert worker.ask(do="step", number=0) > 0
    arrays = dict(np.load(found))
    assert arrays.pop("loss").shape == ()
    assert arrays
    assert all(np.isfinite(array).all() and array.any() for array in arrays.values())
    assert np.load(shared).files
