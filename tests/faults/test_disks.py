"""On a full, broken or read-only disk a job ends with one line, and resumes later from its checkpoint."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import children
from tests.faults.children import Fault, may_fail
from tests.faults.test_kills import FIRST, check_complete_or_absent, check_goes_on
from tests.faults.workshop import BY_NAME, Workshop, left_in

ERRORS = ("ENOSPC", "EIO", "EROFS", "EDQUOT")


@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.faults) for name in FIRST.values()), "random"]
)
def test_an_operation_that_fails_is_one_line(
    name: str, workshop: Workshop, tmp_path: Path, count: Counter[str]
) -> None:
    job = BY_NAME[name]
    numbers = [k for k, operation in enumerate(workshop.operations(name)) if may_fail(operation)]
    draw = random.Random(f"errors of {name}")
    for at in sorted(draw.sample(numbers, min(3, len(numbers)))):
        kind = draw.choice(ERRORS)
        folder = tmp_path / str(at)
        ended = children.run(workshop.words(job), folder, Fault(at, kind))
        where = f"{kind} at {workshop.operations(name)[at]}: {ended.text}"
        assert ended.refused() or ended.status == 0, where
        check_complete_or_absent(workshop, name, folder)
        assert not [left for left in left_in(folder) if left.startswith(".partial")], where
        if ended.refused():
            check_goes_on(workshop, name, folder)
        count["operations that failed: disk full, broken or read-only"] += 1


class Disk:
    """A small disk in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"cannot mount: {done.stderr.strip()}")

    def remount(self, options: str) -> None:
        """Change the size of the disk, or make it read-only."""
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.getuid():
        pytest.skip("only root can mount")
    folder = tmp_path / "disk"
    mounted = Disk(folder)
    yield mounted
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


MOUNTED = ("dm", "rows", "digits", "features", "table", "export_png", "snapshots", "pool1", "search_proxy")


@pytest.mark.faults
@pytest.mark.parametrize("options", ["size=4k", "size=16k", "ro"])
@pytest.mark.parametrize("name", MOUNTED)
def test_a_disk_that_is_full_or_read_only_is_one_line(
    name: str, options: str, disk: Disk, workshop: Workshop, count: Counter[str]
) -> None:
    job = BY_NAME[name]
    words = workshop.words(job)
    disk.remount(options)
    ended = children.run(words, disk.folder)
    if ended.status == 0:
        assert workshop.contents(job, disk.folder) == workshop.contents(job, workshop.folder_of(name))
        return
    assert ended.refused(), ended.text
    check_complete_or_absent(workshop, name, disk.folder)
    count[f"disks that were {'read-only' if options == 'ro' else 'full'}"] += 1
    disk.remount("rw,size=10m")
    again = children.run(words, disk.folder)
    assert again.status == 0, again.text
    assert workshop.contents(job, disk.folder) == workshop.contents(job, workshop.folder_of(name))
    assert sorted(left_in(disk.folder)) == sorted(job.outputs)


@pytest.mark.faults
def test_a_folder_that_may_not_be_written_is_one_line(
    workshop: Workshop, tmp_path: Path, count: Counter[str]
) -> None:
    if not os.getuid():
        pytest.skip("root may write everywhere")
    folder = tmp_path / "a"
    folder.mkdir(mode=0o500)
    ended = children.run(workshop.words(BY_NAME["dm"]), folder)
    assert ended.refused("set.safetensors") or ended.refused(str(folder)), ended.text
    count["folders that may not be written"] += 1
    shutil.rmtree(folder)
