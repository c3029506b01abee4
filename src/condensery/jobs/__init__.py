"""Jobs: the configuration, data, network and device of a command, and its problems, recipes and rows."""

from __future__ import annotations

from condensery.jobs.opening import Job

__all__ = ["Job"]
