"""The files that a data set was prepared from: whether they are still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from condensery.data.contents import readable


def listing(files: Sequence[Path], root: Path) -> str:
    """Return a digest of the names from `root` on, sizes and times of change of files; none is opened.

    Raises:
        CondenseryError: a file is not there.
    """
    digest = hashlib.sha256()
    for file in files:
        with readable(file):
            status = file.stat()
        # Whoever sets the time of modification back changes the other one.
        digest.update(_name(file, root))
        digest.update(f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0".encode())
    return digest.hexdigest()


def content(files: Sequence[Path], root: Path) -> str:
    """Return a digest of the names from `root` on and of the bytes of files, each of which is read.

    Raises:
        CondenseryError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(_name(file, root))
        with readable(file), file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def same(known: Mapping[str, str], files: Sequence[Path], root: Path) -> bool:
    """Say whether files are those of a ``listing`` and a ``content``; they are read only if they may differ.

    Raises:
        CondenseryError: a file is not there, or cannot be read.
    """
    return known["listing"] == listing(files, root) or known["content"] == content(files, root)


def _name(file: Path, root: Path) -> bytes:
    return os.fsencode(os.path.relpath(file, root)) + b"\0"
