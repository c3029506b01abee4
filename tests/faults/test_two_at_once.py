"""Two simultaneous runs of one command with one output: both end, and the output is that of one run."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import children
from tests.faults.test_kills import check_complete_or_absent
from tests.faults.workshop import BY_NAME, Workshop, left_in

SEVERAL = (
    *("dm", "rows", "digits", "built_in", "features", "pool1", "vae_weights", "search_proxy", "continual"),
    *("whole_set", "table", "snapshots", "export_png"),
)


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.faults) for name in SEVERAL), "random"]
)
def test_two_runs_to_one_output(name: str, workshop: Workshop, tmp_path: Path, count: Counter[str]) -> None:
    job, folder = BY_NAME[name], tmp_path / "a"
    draw = random.Random(name)
    words = workshop.words(job)
    both = []
    for which in "xy":
        both.append(children.begin(words, folder, name=which))
        time.sleep(draw.uniform(0, 0.3))
    ended = [children.end(child, folder, name=which) for child, which in zip(both, "xy", strict=True)]
    # Of two runs that write a folder, the later one finds the folder of the earlier one.
    assert [e.status for e in ended].count(0) >= 1, ended
    assert all(e.status == 0 or e.refused(job.outputs[0]) for e in ended), ended
    assert workshop.contents(job, folder) == workshop.contents(job, workshop.folder_of(name))
    assert sorted(left_in(folder)) == sorted(job.outputs)
    count["two runs to one output"] += 1


@pytest.mark.faults
@pytest.mark.parametrize("name", ["dm", "rows", "digits", "features"])
def test_a_run_that_goes_on_while_another_is_killed(
    name: str, workshop: Workshop, tmp_path: Path, count: Counter[str]
) -> None:
    job, folder = BY_NAME[name], tmp_path / "a"
    words = workshop.words(job)
    first, second = (children.begin(words, folder, name=which) for which in "xy")
    time.sleep(random.Random(name).uniform(0.1, workshop.seconds(name)))
    first.kill()
    children.end(first, folder, name="x")
    left = children.end(second, folder, name="y")
    assert left.status == 0, left.text
    check_complete_or_absent(workshop, name, folder)
    again = children.run(words, folder)
    assert again.status == 0, again.text
    assert workshop.contents(job, folder) == workshop.contents(job, workshop.folder_of(name))
    assert sorted(left_in(folder)) == sorted(job.outputs)
    count["two runs to one output, one killed"] += 1
