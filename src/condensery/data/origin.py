"""The files that a data set was prepared from: whether they are still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from condensery.data.contents import readable


def listing(files: Sequence[Path], root: Path) -> str:
    """Return a digest of the names (relative to `root`), sizes and times of change of files; none is opened.

    Raises:
        CondenseryError: a file does not exist.
    """
    digest = hashlib.sha256()
    for file in files:
        with readable(file):
            status = file.stat()
        # A program that resets the time of modification changes st_ctime.
        digest.update(_name(file, root))
        digest.update(f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}\0".encode())
    return digest.hexdigest()


def content(files: Sequence[Path], root: Path) -> str:
    """Return a digest of the names (relative to `root`) and the bytes of files; all are read.

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
    """Say whether files have the recorded digests; they are read only if the listing differs.

    Args:
        known: the digests, ``listing`` and ``content``, that the functions of these names returned.
        files: the files to compare.
        root: the folder to which names are relative.

    Raises:
        CondenseryError: a file does not exist or cannot be read.
    """
    return known["listing"] == listing(files, root) or known["content"] == content(files, root)


def _name(file: Path, root: Path) -> bytes:
    return os.fsencode(os.path.relpath(file, root)) + b"\0"
