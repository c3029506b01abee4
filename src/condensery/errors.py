"""The exceptions whose messages are written for the user."""

from __future__ import annotations

import signal


class CondenseryError(Exception):
    """An error of the input. Its message is one line: what is wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        """Join the lines of the message, since those of other libraries may be part of it."""
        super().__init__(" ".join(line.strip() for line in message.splitlines() if line.strip()))


class Stopped(KeyboardInterrupt):
    """The process was asked to stop.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, what: str) -> None:
        """Say what became of the work."""
        super().__init__(f"stopped by {signal.Signals(number).name}: {what}")
        self.number = number
