"""Runs commands in forked processes, and makes them fail before a chosen file operation.

A server process imports everything once and forks a child for each command. In a child, every operation that
changes something in the folder of the command is counted: opening for writing, creating, renaming, removing,
truncating, and flushing to the disk.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from condensery import console
from tests.forked import CONTEXT

_CHANGES = frozenset(
    ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
)
_MAY_FAIL = ("open", "os.mkdir", "fsync")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
LIMIT_SECONDS = 600.0
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Fault:
    """A fault before a file operation.

    Attributes:
        at: number of the operation, counted from 0.
        kind: ``kill``; ``power``, which also cuts every file that was not flushed to the disk to half of its
            size, as a power failure may; or the name of an error that the operation raises, such as ENOSPC.
    """

    at: int
    kind: str = "kill"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status; -9 when it was killed.
        text: what it printed.
        operations: its file operations in order, each with its path; empty if it was killed.
    """

    status: int
    text: str
    operations: tuple[str, ...]

    @property
    def errors(self) -> list[str]:
        """The lines that begin with ``error:``."""
        return [line for line in self.text.splitlines() if line.startswith("error: ")]

    def refused(self, *words: str) -> bool:
        """Return whether it ended with a one-line error that contains these words, without a traceback."""
        one = self.status == 1 and len(self.errors) == 1 and "Traceback" not in self.text
        return one and all(word in self.errors[0] for word in words)


def run(
    words: list[str],
    folder: Path,
    fault: Fault | None = None,
    *,
    after: float | None = None,
    by: signal.Signals = signal.SIGKILL,
) -> Ended:
    """Run a command in a folder; relative paths and the counted operations are those below it.

    Args:
        words: the name of a script, and its arguments.
        folder: its working directory.
        fault: the fault to inject, if any.
        after: seconds after which it receives a signal.
        by: the signal.
    """
    child = begin(words, folder, fault)
    return end(child, folder, after=after, by=by)


def begin(words: list[str], folder: Path, fault: Fault | None = None, name: str = "") -> Any:
    """Start a command as `run` does; ``name`` distinguishes the logs of simultaneous commands."""
    child = CONTEXT.Process(target=_child, args=(words, str(folder), _log(folder, name), fault))
    child.start()
    return child


def end(
    child: Any,
    folder: Path,
    *,
    name: str = "",
    after: float | None = None,
    by: signal.Signals = signal.SIGKILL,
) -> Ended:
    """Wait for a command that `begin` started, and return how it ended."""
    if after is not None:
        child.join(after)
        if child.exitcode is None:
            os.kill(child.pid, by)
    child.join(LIMIT_SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise TimeoutError(f"still ran after {LIMIT_SECONDS:g} s: {Path(_log(folder, name)).read_text()}")
    log = Path(_log(folder, name))
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    operations = re.findall(r"^operation: (.*)$", text, re.MULTILINE)
    return Ended(child.exitcode, text, tuple(operations))


def _log(folder: Path, name: str) -> str:
    return str(folder.with_name(folder.name + name + ".log"))


def _child(words: list[str], folder: str, log: str, fault: Fault | None) -> None:
    from condensery.run import Checkpoint

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    Path(folder).mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    Checkpoint.due = lambda self: True  # type: ignore[method-assign]  # as if a minute had passed since the last save
    operations = _Operations(folder, fault)
    sys.argv = [words[0], *words[1:]]
    main = importlib.import_module(f"condensery.commands.{words[0]}").main
    try:
        status = console.run(main)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 2
    sys.stdout.flush()
    print("", *(f"operation: {operation}" for operation in operations.done), sep="\n", flush=True)
    os._exit(status)


def may_fail(operation: str) -> bool:
    """Return whether an operation of `Ended.operations` fails on a full or read-only disk."""
    return operation.startswith(_MAY_FAIL)


class _Operations:
    """Records the file operations in a folder, and injects the fault."""

    def __init__(self, folder: str, fault: Fault | None) -> None:
        self.done: list[str] = []
        self._folder, self._fault = os.path.realpath(folder), fault
        self._unflushed: set[str] = set()
        os_fsync = os.fsync

        def fsync(file: Any) -> None:
            number = file if isinstance(file, int) else file.fileno()
            path = os.readlink(f"/proc/self/fd/{number}")
            self._operation("fsync", path)
            os_fsync(file)
            self._unflushed.discard(path)

        os.fsync = fsync  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = given
            writes = flags & _WRITING if mode is None else set(mode) & set("wax+")
            if not isinstance(path, int) and writes:
                self._operation(event, path)
                self._unflushed.add(os.path.realpath(path))
        elif event in _CHANGES:
            self._operation(event, given[0])
            if event == "os.rename" and os.path.realpath(given[0]) in self._unflushed:
                self._unflushed.add(os.path.realpath(given[1]))

    def _operation(self, event: str, path: Any) -> None:
        full = os.path.realpath(os.fsdecode(path))
        if full != self._folder and not full.startswith(self._folder + os.sep):
            return
        fault = self._fault if self._fault and self._fault.at == len(self.done) else None
        self.done.append(f"{event} {re.sub('partial-[0-9a-f]{8}', 'partial', full[len(self._folder) :])}")
        if fault is None:
            return
        kind = fault.kind
        if kind == "power":
            for unflushed in self._unflushed:
                if os.path.isfile(unflushed) and unflushed.startswith(self._folder):
                    os.truncate(unflushed, os.path.getsize(unflushed) // 2)
        if kind in ("kill", "power"):
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, kind)
        raise OSError(number, os.strerror(number), full)
