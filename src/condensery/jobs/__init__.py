"""Jobs: what the commands open to compute, and what builds their problems, recipes and rows."""

from __future__ import annotations

from condensery.jobs.opening import Job

__all__ = ["Job"]
