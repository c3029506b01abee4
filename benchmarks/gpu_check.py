"""Check that this machine's GPU does what the project needs: a line per check, in less than five minutes.

Compares the outputs of every script and every method on the GPU with those on the CPU, counts the copies and
waits of a step, and tests what a simulated accelerator cannot: compilation, lower precisions, streams,
memory. Needs no data set, and leaves no files. It ends with an error if a check FAILED.

Examples:
    benchmarks/gpu.sh --check
    benchmarks/gpu.sh --check --quick      # on a simulated accelerator, without a GPU
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from condensery import console
from condensery.errors import CondenseryError
from condensery.machine import device as devices
from harness import checks, simulated
from harness.checks import Check, Stage
from harness.jobs import Bench

# Limit of the whole check; a longer one would rarely be run.
SECONDS = 300


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="on a simulated accelerator, without the checks that need a GPU"
    )
    return parser.parse_args()


def main() -> None:
    """Run the checks.

    Raises:
        CondenseryError: PyTorch sees no GPU, or a check failed.
    """
    args = parse()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        if args.quick:
            stack.enter_context(simulated.present())
        device = devices.choose(simulated.NAME if args.quick else "auto")
        if device.torch_device.type == "cpu":
            raise CondenseryError("there is no GPU that PyTorch sees: --quick tries the checks without")
        print(f"{device.label}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}", flush=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        with _aside(io.StringIO()):
            stage = Stage(device, Bench(Path(folder)))
        failed = run(checks.every(), stage)
    seconds = time.monotonic() - started
    if seconds > SECONDS:
        failed.append("time")
    _line("time", "ok" if seconds <= SECONDS else "FAILED", f"{seconds:.0f}", f"<= {SECONDS} s")
    if failed:
        raise CondenseryError(f"{len(failed)} checks FAILED: {', '.join(failed)}")
    print("no check failed")


def run(todo: list[Check], stage: Stage) -> list[str]:
    """Run checks, print a line for each, and return the names of those that failed."""
    failed = []
    for check in todo:
        if reason := check.missing(stage):
            _line(check.name, "left out", "", reason)
            continue
        output = io.StringIO()
        try:
            with _aside(output):
                measured = check.measure(stage)
            good, shown, about = check.holds(measured), f"{measured:.3g}", check.bounds
        except (Exception, SystemExit) as error:  # the other checks run whatever ends this one
            good, shown, about = False, "", _reason(error, output.getvalue())
        _line(check.name, "ok" if good else "FAILED", shown, about)
        if not good:
            failed.append(check.name)
    return failed


@contextlib.contextmanager
def _aside(output: io.StringIO) -> Iterator[None]:
    """Collect what is printed and logged, for the message of a check that fails."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, [logging.StreamHandler(output)]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            yield
    finally:
        root.handlers = before


def _reason(error: BaseException, output: str) -> str:
    """Return one line with the reason of a failure, from the error and the output before it."""
    lines = output.splitlines()
    if lines and isinstance(error, SystemExit):
        return lines[-1]  # the script's own message
    if isinstance(error, CondenseryError):
        return "; ".join([str(error), *lines[-1:]])
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _line(name: str, outcome: str, measured: str, about: str) -> None:
    print(f"{name:36}{outcome:10}{measured:>9}  {about}", flush=True)


if __name__ == "__main__":
    sys.exit(console.run(main))
