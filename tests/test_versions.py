"""The version of the code in the provenance of results."""

from __future__ import annotations

import io
import subprocess
import tokenize
from pathlib import Path

import pytest

import condensery
from condensery.machine.versions import code_of, commit_of


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return src/condensery of a new checkout."""
    package = tmp_path / "src" / "condensery"
    for file in (
        "src/condensery/__init__.py",
        "src/condensery/methods/dm.py",
        "scripts/condense.py",
        "notes.md",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("\n")
    (tmp_path / ".gitignore").write_text("/installed/\n")
    _git(tmp_path, "init", "--quiet")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "first")
    return package


@pytest.mark.parametrize("file", ["src/condensery/methods/dm.py", "scripts/condense.py"])
def test_uncommitted_code_counts_wherever_it_lies(package: Path, file: str) -> None:
    head = _git(package, "rev-parse", "HEAD")
    assert commit_of(package) == head
    (package.parents[1] / file).write_text("changed\n")
    once = commit_of(package)
    assert once.startswith(f"{head}-dirty-")
    (package.parents[1] / file).write_text("changed again\n")
    assert commit_of(package).startswith(f"{head}-dirty-")
    assert commit_of(package) != once


def test_other_changes_do_not_count(package: Path) -> None:
    (package.parents[1] / "notes.md").write_text("changed\n")
    assert commit_of(package) == _git(package, "rev-parse", "HEAD")


def test_an_installed_package_has_no_commit_of_the_repository_around_it(package: Path) -> None:
    installed = package.parents[1] / "installed" / "condensery"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("\n")
    assert commit_of(installed) == "unknown"
    assert commit_of(Path(package.anchor)) == "unknown"


TRICKY = '''"""A module."""
first = "# none"  # a comment
second = \'\'\'
# none "\'\'\' + "\\"# none"  # a comment
third = f"{first!r:#>8}"  # "a comment"
fourth = "\\\\"  # a comment
'''


def without_comments(text: str) -> str:
    """Return a program without the comments that Python's tokenizer finds."""
    lines = text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            lines[line - 1] = lines[line - 1][:column]
    return "\n".join(lines)


def test_comments_are_no_code_and_texts_are(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "dm.py").write_text(text, encoding="utf-8")
        return code_of(tmp_path)

    modules = [path.read_text(encoding="utf-8") for path in Path(condensery.__file__).parent.rglob("*.py")]
    for text in [TRICKY, *modules]:
        if "#" in text:
            assert digest(without_comments(text)) == digest(text)
    assert without_comments(TRICKY).count("comment") == 0
    assert digest(TRICKY.replace("a comment", "another")) == digest(TRICKY)
    assert digest(TRICKY.replace("# none", "# some")) != digest(TRICKY)
