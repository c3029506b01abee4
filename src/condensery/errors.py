"""The exceptions whose messages are written for the user."""

from __future__ import annotations

import signal


class CondenseryError(Exception):
    """An error of the input. Its message is one line: what is wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        """Join the lines of the message, which may quote a message of another library."""
        super().__init__(" ".join(line.strip() for line in message.splitlines() if line.strip()))


class Stopped(KeyboardInterrupt):
    """The process was asked to stop.

    Attributes:
        number: the number of the signal.
    """

    def __init__(self, number: int, what: str) -> None:
        """Compose the message.

        Args:
            number: the number of the signal.
            what: the state of the work: what is saved, and how to resume.
        """
        super().__init__(f"stopped by {signal.Signals(number).name}: {what}")
        self.number = number
