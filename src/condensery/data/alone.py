"""One process at a time for one folder, by the lock of a file that the system releases with its process."""

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
    """Do something to a folder while no other process does; wait for one that does, which the log says.

    The lock is a hidden file beside the folder, which goes when the work is done; one that a killed process
    left is nobody's. Where the file system has no locks, the log says so and nothing is locked; nor is
    anything where nothing can be written.

    Args:
        folder: it need not exist; its parents are made.
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
            # First the name: who opens the file afterwards gets another one.
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
