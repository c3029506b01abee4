"""Stop long work after a given time; its state is saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from condensery.run.stopping import Request, deferred


@contextmanager
def time_limit(minutes: float | None) -> Iterator[Request]:
    """Stop the work of this process after some minutes, by the signal of a time limit.

    Yields:
        The request to stop, whoever made it; work with a checkpoint first saves its step.
    """
    timer = threading.Timer(60 * (minutes or 0), os.kill, (os.getpid(), signal.SIGTERM))
    with deferred() as stopped:
        if minutes is not None:
            timer.start()
        try:
            yield stopped
        finally:
            timer.cancel()
