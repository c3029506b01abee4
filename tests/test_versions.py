"""What a result says about the code that made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from condensery.machine.versions import commit_of


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
