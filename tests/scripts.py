"""Runs a script as if from the command line, in the process of the tests, where imports are done."""

from __future__ import annotations

import contextlib
import io
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from unittest import mock

import torch

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Return the exit status and the output of a script.

    Args:
        script: its name in scripts/, without the suffix.
        arguments: its command-line arguments.
        cwd: its working directory.
    """
    path = ROOT / "scripts" / f"{script}.py"
    words = [str(path), *map(str, arguments)]
    output, errors, status, threads = io.StringIO(), io.StringIO(), 0, torch.get_num_threads()
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            status = int(end.code or 0)
        except Exception:  # as the interpreter does
            traceback.print_exc()
            status = 1
    torch.set_num_threads(threads)
    return subprocess.CompletedProcess(words, status, output.getvalue(), errors.getvalue())
