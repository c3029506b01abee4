"""The command `condensery`, whose sub-commands are the modules of `condensery.commands`."""

from __future__ import annotations

import argparse
import ast
import importlib
import pkgutil
import sys
from pathlib import Path

from condensery import commands, console


def summaries() -> dict[str, str]:
    """Return {sub-command: the first line of its help}, sorted, without importing any of them."""
    found = {}
    for folder in map(Path, commands.__path__):
        for module in pkgutil.iter_modules([str(folder)]):
            tree = ast.parse((folder / f"{module.name}.py").read_text(encoding="utf-8"))
            found[module.name.replace("_", "-")] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return dict(sorted(found.items()))


def main() -> int:
    """Run the sub-command that the command line names.

    Returns:
        The exit status, see :func:`condensery.console.run`.

    Raises:
        SystemExit: the command line is invalid, or asks for the help or the version.
    """
    known = summaries()
    width = max(map(len, known))
    parser = console.parser(
        "Condense data sets, evaluate what comes out, and report it.\n\ncommands:\n"
        + "\n".join(f"  {name:<{width}}  {summary}" for name, summary in known.items())
    )
    parser.prog, parser.usage = "condensery", "condensery [--version] COMMAND ..."
    parser.epilog = "`condensery COMMAND --help` has the options of a command, and an example."
    parser.add_argument("command", choices=known, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    # A command reads its command line as it does when its script is called.
    sys.argv = [f"condensery {args.command}", *args.words]
    module = importlib.import_module(f"{commands.__name__}.{args.command.replace('-', '_')}")
    return console.run(module.main)


if __name__ == "__main__":
    raise SystemExit(main())
