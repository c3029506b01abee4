"""The exception whose message is written for the user."""

from __future__ import annotations


class CondenseryError(Exception):
    """An error of the input. Its message is one line: what is wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        """Join the lines of the message, since those of other libraries may be part of it."""
        super().__init__(" ".join(line.strip() for line in message.splitlines() if line.strip()))
