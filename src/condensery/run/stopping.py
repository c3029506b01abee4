"""Signals that ask a process to stop: long work first finishes its step and saves its state."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from condensery.errors import Stopped

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""The signals of the keyboard; of the system, and of Slurm at a time limit; of Slurm before it (--signal)."""


class Request:
    """The request to stop; falsy until a signal is received.

    Attributes:
        number: number of the signal, or 0.
    """

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        """Say whether the process was asked to stop."""
        return self.number != 0

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Record the first signal; stop at once at the second.

        Raises:
            Stopped: this is the second signal.
        """
        if self:
            raise Stopped(number, "the step under way is lost, what was saved is kept")
        self.number = number
        if number == signal.SIGINT:
            # Not print: its buffer may be in use.
            os.write(2, b"\nstopping after this step, which is saved; Ctrl-C again stops at once\n")


@contextmanager
def deferred() -> Iterator[Request]:
    """Receive the signals within the context, and restore their handlers after it.

    Yields:
        The request to stop. In other threads than the main one, which alone can receive signals, it stays
        falsy.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # A signal that is ignored stays ignored: a shell ignores Ctrl-C for commands in the background.
    heard = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, request.receive) for number in heard}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
