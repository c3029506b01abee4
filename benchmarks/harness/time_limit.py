"""Stop long work after a given time, with its state saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from condensery.run.stopping import Request, deferred


@contextmanager
def time_limit(minutes: float | None) -> Iterator[Request]:
    """Ask this process to stop after some minutes, with the signal of a time limit.

    Yields:
        Whether the process was asked, by this or by others; work that has a checkpoint saves its step first.
    """
    timer = threading.Timer(60 * (minutes or 0), os.kill, (os.getpid(), signal.SIGTERM))
    with deferred() as stopped:
        if minutes is not None:
            timer.start()
        try:
            yield stopped
        finally:
            timer.cancel()
