"""The code behind a result: versions, commit and a digest of the code, for provenance and result rows."""

from __future__ import annotations

import ast
import hashlib
import logging
import platform
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

import condensery

_log = logging.getLogger(__name__)

COMPUTES_NOTHING = (
    *("__init__.py", "__main__.py", "console.py", "errors.py", "files.py", "progress.py"),
    *("rows", "run/__init__.py", "run/checkpoint.py", "run/stopping.py"),
    *("cost", "exchange", "reporting", "machine/versions.py"),
    *("data/alone.py", "data/contents.py", "data/decoding.py", "data/folders.py", "data/formats.py"),
    *("data/imagenet.py", "data/kinds.py", "data/origin.py", "data/partial.py", "data/preparation.py"),
    *("data/sources.py",),
    *("experiment/catalog.py", "experiment/checks.py", "experiment/comparable.py", "experiment/config.py"),
    *("experiment/loading.py",),
    *("experiment/needs.py", "experiment/reading.py", "experiment/schemas.py", "experiment/settings.py"),
    *("experiment/target_checks.py", "experiment/target_kinds.py", "experiment/targets.py"),
    *("scoring/entries.py", "scoring/formulas.py", "scoring/opening.py", "scoring/report.py"),
    *("scoring/scores.py",),
    *("commands/rows.py", "commands/score.py"),
    *("commands/continual_report.py", "commands/cost.py", "commands/curve.py", "commands/export_set.py"),
    *("commands/figure.py", "commands/gather.py", "commands/import_set.py", "commands/plan.py"),
    *("commands/prepare.py", "commands/report.py", "commands/reproduction.py"),
    *("commands/search_report.py", "commands/show.py", "commands/table.py", "commands/trajectory.py"),
)
"""Modules and folders of the package on which no number depends except through values that results record:
the settings that they resolve and the data that they prepare."""


@cache
def code() -> str:
    """Return the digest of this package's code that computes, 16 hexadecimal digits; see `code_of`."""
    return code_of(Path(condensery.__file__).resolve().parent)


def code_of(package: Path) -> str:
    """Return a digest of the code of a copy of the package that computes.

    Comments, docstrings, blank lines and the modules in `COMPUTES_NOTHING` are left out; a new module counts
    until it is listed there.

    Args:
        package: the folder ``src/condensery`` of a checkout, or an installed package.
    """
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.cpp")]):
        name = path.relative_to(package).as_posix()
        if name in COMPUTES_NOTHING or any(name.startswith(f"{folder}/") for folder in COMPUTES_NOTHING):
            continue
        text = path.read_text(encoding="utf-8")
        digest.update(f"{name}\0{_statements(text) if path.suffix == '.py' else text}\0".encode())
    return digest.hexdigest()[:16]


def _statements(text: str) -> str:
    """Return Python code without docstrings, comments and blank lines."""
    lines: list[str] = text.splitlines()
    for node in _documented(ast.parse(text)):
        # Not ast.dump, whose output depends on the version of Python.
        for first in node.body[:1] if ast.get_docstring(node, clean=False) is not None else ():
            docstring = slice(first.lineno - 1, first.end_lineno)
            if not lines[first.lineno - 1][: first.col_offset].strip():
                lines[docstring] = [""] * len(lines[docstring])
    # Every job reads all of the code, and Python's own tokenizer takes ten times as long.
    rest = _COMMENT_OR_TEXT.sub(lambda found: "" if found[0].startswith("#") else found[0], "\n".join(lines))
    return "\n".join(line.rstrip() for line in rest.splitlines() if line.strip())


# In a text a number sign begins no comment. Python 3.11 allows no text of the same quotes within another.
_COMMENT_OR_TEXT = re.compile(
    r"""#[^\n]*|\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(node: ast.AST) -> Iterator[_Documented]:
    """Yield the module, the classes and the functions in a tree: statements, which no expression contains."""
    if isinstance(node, _Documented):
        yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _documented(child)


@cache
def commit() -> str:
    """Return the git commit of this package, see `commit_of`; log once if there is none."""
    found = commit_of(Path(condensery.__file__).resolve().parent)
    if found == "unknown":
        _log.warning("not a git checkout: results record the digest of the code, %s, but no commit", code())
    return found


def commit_of(package: Path) -> str:
    """Return the commit of the checkout that a copy of the package belongs to, or ``unknown``.

    Uncommitted changes to the library and the scripts add ``-dirty-`` and a digest of these files; other
    changes are ignored, because no result depends on them. A package that is installed in a folder of another
    repository has no commit.

    Args:
        package: the folder ``src/condensery`` of a checkout, or an installed package.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        scripts = package.parents[1] / "scripts"
        changes = _git(package, "status", "--porcelain", "--", str(package), str(scripts))
        head = _git(package, "rev-parse", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty-{_files_digest(package, scripts)}" if changes.strip() else head


def _files_digest(*folders: Path) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".cpp", ".yaml")):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout


def versions() -> dict[str, str]:
    """Return the versions on which a result depends: condensery, its commit and code, torch and Python."""
    return {
        "condensery": condensery.__version__,
        "commit": commit(),
        "code": code(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
