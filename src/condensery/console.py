"""How a command ends: one line for an error that its user can fix, a traceback for a defect."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import condensery
from condensery.errors import CondenseryError, Stopped

_FULL = "free some space and start this again, which goes on from the last checkpoint"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.EROFS: "give another folder",
    errno.ENAMETOOLONG: "give a shorter name",
}
_NO_MEMORY = (
    "give the job more memory, or choose less: smaller batches, fewer threads, a smaller network; starting "
    "this again goes on from the last checkpoint"
)


class _Parser(argparse.ArgumentParser):
    """Refuses an output that is an input as well."""

    def parse_args(self, *args: Any, **options: Any) -> Any:
        """Parse, and compare the paths that are written with those that are read."""
        found = super().parse_args(*args, **options)
        paths = {name: _paths(value) for name, value in vars(found).items()}
        read = [path for name, each in paths.items() if not name.startswith("out") for path in each]
        for name, written in paths.items():
            for path in written if name.startswith("out") else ():
                if any(_same(path, each) for each in read):
                    option = f"--{name.replace('_', '-')}"
                    raise CondenseryError(f"{option} {path}: would replace what is read: give another name")
        return found


def _paths(value: object) -> list[Path]:
    """Return the paths in the value of an option, also in NAME=FILE."""
    values = value if isinstance(value, list | tuple) else [value]
    named = [Path(each.partition("=")[2]) for each in values if isinstance(each, str) and "=" in each]
    return [*named, *(each for each in values if isinstance(each, Path))]


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return one.absolute() == other.absolute()


def parser(text: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command, which has ``--help`` and ``--version``.

    Args:
        text: the docstring of the command's module, which --help prints unchanged.
    """
    parser = _Parser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"condensery {condensery.__version__}")
    return parser


def whole_number(option: str, least: int, most: int) -> Callable[[str], int]:
    """Return a parser of whole numbers, for the ``type`` of a command-line argument.

    Args:
        option: the name of the option, for the message.
        least: the smallest value accepted.
        most: the largest value accepted.

    Raises:
        CondenseryError: (by the parser) the text is not a whole number from ``least`` to ``most``.
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


def add_figure_argument(parser: argparse.ArgumentParser, figures: Sequence[str]) -> None:
    """Add the argument that chooses one of the figures of a kind; the first is the default."""
    parser.add_argument(
        "--figure",
        choices=figures,
        default=figures[0],
        metavar="NAME",
        help="%(choices)s; default: %(default)s",
    )


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

    Args:
        main: the body; it reads the command line.

    Returns:
        0 if ``main`` returns. 1 after a `CondenseryError`, an error of the operating system, or a lack of
        memory, which is printed as one line, ``error: ...``. 1 without a message if the reader of standard
        output closes the pipe early. 130 if interrupted from the keyboard. 128 plus the number of the signal
        if a signal stopped work that was saved.

    Raises:
        Exception: any other exception is a defect; it propagates with its traceback.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    try:
        main()
        sys.stdout.flush()
    except CondenseryError as error:
        return _fail(str(error))
    except Stopped as stopped:
        _fail(str(stopped))
        return 128 + stopped.number
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it exits; discard that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno is None:
            raise
        return _fail(_about(error, error.errno))
    except (MemoryError, RuntimeError) as error:
        if not _is_about_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or "MemoryError"
        return _fail(f"not enough memory ({reason}): {_NO_MEMORY}")
    return 0


def _about(error: OSError, number: int) -> str:
    """Return what the system says, about which file, and what to do."""
    named = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    reason = (error.strerror or os.strerror(number)).lower()
    return ": ".join([*named[:1], reason, *filter(None, [_ADVICE.get(number)])])


def _is_about_memory(error: Exception) -> bool:
    # PyTorch raises a RuntimeError of its own on a GPU, and a plain one on a CPU.
    name, text = type(error).__name__, str(error)
    return isinstance(error, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in text


def _fail(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return 1
