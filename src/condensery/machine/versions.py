"""Which code made a result: versions and commit, for provenance and result rows."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

import condensery


@cache
def commit() -> str:
    """Return the git commit of the source tree, with ``-dirty`` for uncommitted code, or ``unknown``."""
    return commit_of(Path(condensery.__file__).resolve().parent)


def commit_of(package: Path) -> str:
    """Return the commit of the checkout that a copy of the package belongs to, as `commit` does.

    Only changes to the library and the scripts count as dirty: they are what a result depends on. A package
    that was installed into a folder of some other repository has no commit.

    Args:
        package: the folder ``src/condensery`` of a checkout, or one that was installed.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        scripts = package.parents[1] / "scripts"
        changes = _git(package, "status", "--porcelain", "--", str(package), str(scripts))
        return _git(package, "rev-parse", "HEAD").strip() + ("-dirty" if changes.strip() else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout


def versions() -> dict[str, str]:
    """Return the versions that a result depends on: condensery, its commit, torch and Python."""
    return {
        "condensery": condensery.__version__,
        "commit": commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
