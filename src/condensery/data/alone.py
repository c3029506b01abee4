"""Exclusive use of a folder or file by one process: a file lock, which the system releases when it ends."""

from __future__ import annotations

import fcntl
import itertools
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
    """Hold the lock of a folder or file, so that no other process makes it; log if this process has to wait.

    The lock is a hidden file beside it, which is removed afterwards; the file that a killed process leaves
    locks nothing. On a file system without locks nothing is locked, and the log says so; nothing is locked
    either if the file cannot be written.

    Args:
        folder: the folder or file, which need not exist; missing parents are created.
    """
    path = folder.with_name(f".{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _wait(path, folder)
    except OSError:  # what is to be written there fails with a better message, and what is there can be used
        descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            # Remove the name before the lock is released: a process that opens the name afterwards gets a new
            # file.
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _wait(path: Path, folder: Path) -> int:
    """Return the descriptor of the file, locked; say once that another process has it."""
    for attempt in itertools.count():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The process that had it may have removed it between opening and locking.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        except BlockingIOError:
            if attempt == 0:
                log.info("%s: waiting for another process that is preparing it", folder)
            time.sleep(SECONDS_BETWEEN_ATTEMPTS)
        except FileNotFoundError:  # removed between the two looks at it
            pass
        except OSError as error:
            log.warning("%s: no locks here (%s); prepare nothing twice at once", path.parent, error.strerror)
            return descriptor
        os.close(descriptor)
    raise AssertionError("unreachable")
