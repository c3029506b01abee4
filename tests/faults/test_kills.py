"""Jobs that are killed and started again give the numbers of uninterrupted jobs."""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.faults import children
from tests.faults.children import Fault
from tests.faults.workshop import BY_NAME, JOBS, Workshop, left_in
from tests.scripts import ROOT

QUICK = ("inverted", "random")
"""The jobs that the fast suite kills, a few times each."""

FIRST = {job.script: job.name for job in reversed(JOBS)}
"""One job of every script; these are killed more often than the others."""

NOTHING_WRITTEN = {"plan"}

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def is_first(name: str) -> bool:
    """Return whether a job is the first one of its script."""
    return FIRST[BY_NAME[name].script] == name


def jobs(*quick: str) -> list[object]:
    """Return the names of all jobs, as parameters; the fast suite has the quick ones only."""
    return [*quick, *(pytest.param(job.name, marks=pytest.mark.faults) for job in JOBS)]


def picked(name: str, operations: tuple[str, ...], most: int) -> list[int]:
    """Return the numbers of at most ``most`` operations of different kinds, drawn for each job."""
    draw = random.Random(name)
    kinds: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        kinds.setdefault(operation, []).append(number)
    numbers = [draw.choice(numbers) for numbers in kinds.values()]
    return sorted(numbers if len(numbers) <= most else draw.sample(numbers, most))


def check_complete_or_absent(workshop: Workshop, name: str, folder: Path) -> None:
    """Check that every output of an ended job is absent, or equal to that of an undisturbed job."""
    job = BY_NAME[name]
    expected = workshop.contents(job, workshop.folder_of(name))
    for output, found in workshop.contents(job, folder).items():
        if output == "prepared":
            if "info.json" not in found:
                continue  # complete once its description is written
            found = {name: file for name, file in found.items() if not name.startswith(".partial/")}
        assert found == expected[output], f"{name}: {output} is there and differs"


def check_goes_on(workshop: Workshop, name: str, folder: Path) -> None:
    """Check that an interrupted job, started again, gives the outputs of an undisturbed job."""
    job = BY_NAME[name]
    check_complete_or_absent(workshop, name, folder)
    again = children.run(workshop.words(job), folder)
    # An output folder is never replaced: here the job was killed after it had written its folder.
    done = again.refused("is not an empty folder") and list(workshop.contents(job, folder)) == list(
        job.outputs
    )
    assert again.status == 0 or done, again.text
    assert workshop.contents(job, folder) == workshop.contents(job, workshop.folder_of(name))
    assert done or sorted(left_in(folder)) == sorted(job.outputs)
    shutil.rmtree(folder)


def test_every_script_is_among_the_jobs() -> None:
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert scripts == set(FIRST) | NOTHING_WRITTEN


@pytest.mark.parametrize("name", jobs(*QUICK))
def test_a_job_killed_at_an_operation_goes_on(
    name: str,
    workshop: Workshop,
    tmp_path: Path,
    count: Counter[str],
    request: pytest.FixtureRequest,
) -> None:
    long = request.node.get_closest_marker("faults")
    most = 2 if not long else 5 if is_first(name) else 1
    for turn, at in enumerate(picked(name, workshop.operations(name), most)):
        kind = ("kill", "power")[turn % 2]
        folder = tmp_path / str(at)
        ended = children.run(workshop.words(BY_NAME[name]), folder, Fault(at, kind))
        assert ended.status == children.KILLED, ended.text
        check_goes_on(workshop, name, folder)
        count[f"kills at an operation on a file ({kind})"] += 1


@pytest.mark.parametrize("name", jobs("dm"))
def test_a_job_killed_at_any_moment_goes_on(
    name: str, workshop: Workshop, tmp_path: Path, count: Counter[str]
) -> None:
    draw = random.Random(f"moments of {name}")
    seconds = workshop.seconds(name)
    for _ in range(2 if is_first(name) else 1):
        by = draw.choice(SIGNALS)
        ended = children.run(
            workshop.words(BY_NAME[name]), tmp_path / "a", after=draw.uniform(0.02, seconds), by=by
        )
        count["kills at any moment" if ended.status else "kills that came too late"] += 1
        check_complete_or_absent(workshop, name, tmp_path / "a")
    check_goes_on(workshop, name, tmp_path / "a")
