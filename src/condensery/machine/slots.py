"""One GPU for each process: the jobs of a machine share out the devices that they all see, by file locks."""

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
    """A device that this process has for itself, until the slot is gone or the process ends, however it ends.

    Attributes:
        index: which of the devices.
        lock: the locked file.
    """

    index: int
    lock: IO[str]


def take(devices: Sequence[str]) -> Slot:
    """Take a device that no other process of this user on this machine has taken; wait until there is one.

    Args:
        devices: names that mean the same device to every process, whichever devices it sees: their UUIDs.
    """
    # Locks of a machine belong on the machine: network file systems do not all keep them.
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
            _log.info("waiting for one of %d GPUs, which other processes have", len(devices))
        time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
    raise AssertionError("unreachable")


def visible(environment: Mapping[str, str]) -> int:
    """Return how many NVIDIA GPUs a process with this environment sees, without initialising CUDA."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        # CUDA reads the list up to the first entry that is no device.
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
