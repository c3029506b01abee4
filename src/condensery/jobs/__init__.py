"""Jobs: what the commands that compute open, and what makes their problems, recipes and rows."""

from __future__ import annotations

from condensery.jobs.opening import Job

__all__ = ["Job"]
