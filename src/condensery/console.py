"""How a command ends: one line for an error that its user can fix, a traceback for a defect."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import condensery
from condensery.errors import CondenseryError

_USER_PATH_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)


def parser(text: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command, which has ``--help`` and ``--version``.

    Args:
        text: the docstring of the command's module, which --help prints unchanged.
    """
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"condensery {condensery.__version__}")
    return parser


def whole_number(option: str, least: int, most: int) -> Callable[[str], int]:
    """Return what reads the value of an option that is a whole number, for ``type`` of an argument.

    Args:
        option: its name, for the message.
        least: the smallest value.
        most: the largest value.
    """

    def read(text: str) -> int:
        # Not int() alone, which also takes "1_0" and digits of other scripts.
        if not re.fullmatch(r"[-+]?[0-9]{1,30}", text) or not least <= int(text) <= most:
            raise CondenseryError(f"{option} {text}: give a whole number from {least} to {most}")
        return int(text)

    return read


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that says where the configuration is."""
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config"),
        metavar="DIR",
        help="the configuration; default: %(default)s",
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that reports: they say which configuration its results come from."""
    parser.add_argument(
        "--protocol", required=True, metavar="NAME", help="the protocol that all results must come from"
    )
    add_config_argument(parser)


def add_rows_argument(parser: argparse.ArgumentParser, rows: str) -> None:
    """Add the argument that gives a report its row files.

    Args:
        parser: the parser.
        rows: which rows they hold, for the help.
    """
    parser.add_argument(
        "--rows",
        nargs="+",
        type=Path,
        required=True,
        metavar="PATH",
        help=f"row files (.parquet) {rows}, or folders of them",
    )


def run(main: Callable[[], None]) -> int:
    """Run the body of a script and return its exit status; logging goes to standard error.

    Returns:
        0 when `main` returns; 1 after a `CondenseryError`, or an error of the operating system about a named
        file, printed as one line ``error: ...``; 130 when interrupted from the keyboard. A reader that
        closes the pipe early ends the command silently with 1. Every other exception is a defect and
        propagates with its traceback.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        main()
        sys.stdout.flush()
    except CondenseryError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits; discard that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _USER_PATH_ERRORS as error:
        if error.filename is None:
            raise
        return _fail(f"{os.fsdecode(error.filename)}: {(error.strerror or 'cannot be used').lower()}")
    return 0


def _fail(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 1
