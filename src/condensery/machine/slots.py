"""One GPU per process: the jobs of a machine divide its GPUs among themselves with file locks."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_ATTEMPTS = 1.0


@dataclass(frozen=True)
class Slot:
    """A device reserved for this process, until the slot is deleted or the process ends in any way.

    Attributes:
        index: index of the device.
        lock: the locked file.
    """

    index: int
    lock: IO[str]


def take(devices: Sequence[str]) -> Slot:
    """Reserve a device that no other process of this user has reserved on this machine; wait for one.

    Args:
        devices: names that identify a device in every process, whichever devices it sees: UUIDs.
    """
    # Locks must be on a local disk: not every network file system supports them.
    folder = Path(tempfile.gettempdir()) / f"condensery-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for attempt in itertools.count():
        for index, name in enumerate(devices):
            lock = (folder / name).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                return Slot(index, lock)
        if attempt == 0:
            _log.info("waiting for one of %d GPUs, all of which other processes use", len(devices))
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
    raise AssertionError("unreachable")


def visible(environment: Mapping[str, str]) -> int:
    """Count the NVIDIA GPUs that a process with this environment sees, without initializing CUDA."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # CUDA reads the list up to the first entry that is not a device.
        return len(
            list(itertools.takewhile(lambda entry: entry.strip() not in ("", "-1"), chosen.split(",")))
        )
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return (
        sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0
    )
