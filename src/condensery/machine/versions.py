"""Which code made a result: versions and commit, for provenance and result rows."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch


@cache
def commit() -> str:
    """Return the git commit of the source tree, with ``-dirty`` for uncommitted code, or ``unknown``.

    Only changes to the library and the scripts count as dirty: they are what a result depends on.
    """
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", str(here), str(here.parents[1] / "scripts")],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def versions() -> dict[str, str]:
    """Return the versions that a result depends on: condensery, its commit, torch and Python."""
    try:
        own = metadata.version("condensery")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {
        "condensery": own,
        "commit": commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
