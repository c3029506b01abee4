"""The one exception that people are meant to read."""

from __future__ import annotations


class CondenseryError(Exception):
    """Bad input: one line that says what is wrong, where, and what to do."""
