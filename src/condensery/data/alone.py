"""One process at a time for one folder, by the lock of a file that the system releases with its process."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

SECONDS_BETWEEN_ATTEMPTS = 0.2


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Do something to a folder while no other process does; wait for one that does, which the log says.

    The lock is a hidden file beside the folder, which goes when the work is done; one that a killed process
    left is nobody's. Where the file system has no locks, the log says so and nothing is locked.

    Args:
        folder: it need not exist; its parents are made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    waiting = False
    while (descriptor := _locked(path)) is None:
        if not waiting:
            log.info("%s: waiting for another process that is preparing it", folder)
        waiting = True
        time.sleep(SECONDS_BETWEEN_ATTEMPTS)
    try:
        yield
    finally:
        # First the name: who opens the file afterwards gets another one.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Return the descriptor of the locked file, or None if another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError as error:
        log.warning("%s: no locks here (%s); prepare nothing twice at once", path.parent, error.strerror)
        return descriptor
    # The file may have been removed by the process that had it between opening and locking.
    if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
        return descriptor
    os.close(descriptor)
    return _locked(path)
