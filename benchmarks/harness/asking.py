"""Processes that do one thing after another when they are asked; :mod:`harness.serving` is the other end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from condensery.errors import CondenseryError
from harness import processes


class Worker:
    """A process that runs a module of the harness; it ends with the ``with`` block."""

    def __init__(
        self,
        side: str,
        module: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        python: str = sys.executable,
    ) -> None:
        """Start the process.

        Args:
            side: its name in messages.
            module: the module and its arguments.
            folder: where its output is written.
            environment: variables in addition to this process's own.
            python: the interpreter.
        """
        self._side = side
        # A file, since an unread pipe would fill up and block the process.
        self._log = folder / f"{side}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, "-m", *module],
                env=processes.environment() | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, **request: Any) -> Any:
        """Give a command and return the answer.

        Raises:
            CondenseryError: the process stopped; the message has the last line of its output.
        """
        answer, (requests, answers) = "", (self._process.stdin, self._process.stdout)
        assert requests is not None  # a pipe, like the other one
        assert answers is not None
        with contextlib.suppress(BrokenPipeError):
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            answer = answers.readline()
        if not answer:
            self._process.wait()
            lines = self._log.read_text().strip().splitlines() or ["no message"]
            raise CondenseryError(f"{self._side}: the process stopped: {lines[-1]}")
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()
