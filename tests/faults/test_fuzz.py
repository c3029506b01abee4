"""Whatever a foreign file contains, its reader reads it or refuses it in one line."""

from __future__ import annotations

import logging
import os
import random
import resource
import shutil
import signal
import zlib
from collections import Counter
from pathlib import Path
from time import monotonic

import pytest

from tests.archives import reads_tar
from tests.faults.readers import READERS
from tests.faults.test_corruptions import DAMAGES

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
"""Seconds for the trials of all readers together."""

SLOWEST = 20
"""Seconds of computing, which a busy machine does not prolong, after which a reader counts as hanging."""

MEMORY = 8 * 2**30
"""Bytes of memory that a reader of a file of a few kilobytes may allocate."""


@pytest.fixture
def limits() -> object:
    """Silence the log, and limit the memory of a trial."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    logging.disable()
    yield
    logging.disable(logging.NOTSET)
    signal.setitimer(signal.ITIMER_PROF, 0)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def changed(data: bytes, draw: random.Random) -> bytes:
    """Return the data with one to four changes."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        if data:
            data = draw.choice(DAMAGES)(data, draw)
    return data


@pytest.mark.faults
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[reads_tar] if name.startswith("tar") else []) for name in READERS]
)
def test_a_whole_file_is_read(name: str, tmp_path: Path) -> None:
    reader = READERS[name]
    assert not reader.try_with(next(iter(reader.files.values())), tmp_path / "a")


FOUND = sorted((Path(__file__).parent / "found").iterdir())
"""Files that earlier versions neither read nor refused, named after their reader."""


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_once_found_is_refused(path: Path, tmp_path: Path) -> None:
    assert READERS[path.name.partition("-")[0]].try_with(path.read_bytes(), tmp_path / "a")


@pytest.mark.faults
@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("name", READERS)
def test_any_file_is_read_or_refused(name: str, tmp_path: Path, count: Counter[str]) -> None:
    reader = READERS[name]
    whole = next(iter(reader.files.values()))
    seed = os.environ.get("FUZZ_SEED", "0")
    draw = random.Random(f"{name} {seed}")
    end = monotonic() + SECONDS / len(READERS)
    while monotonic() < end:
        data = changed(whole, draw)
        signal.setitimer(signal.ITIMER_PROF, SLOWEST)  # its handler is the default: the process ends
        try:
            refused = reader.try_with(data, tmp_path / "read")
        except Exception as error:
            kept = Path.cwd() / "build" / "fuzz" / f"{name.replace('/', '-')} {zlib.crc32(data):08x}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
            raise AssertionError(f"{name}: {kept} is neither read nor refused: {error!r}") from error
        count["fuzzed files: refused" if refused else "fuzzed files: read"] += 1
    shutil.rmtree(tmp_path / "read", ignore_errors=True)
