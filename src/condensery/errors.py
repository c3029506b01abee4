"""The exception whose message is written for the user."""

from __future__ import annotations


class CondenseryError(Exception):
    """An error of the input. Its message is one line: what is wrong, where, and what to do."""
