"""Reads the project's pages: their sections, blocks of code and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_BLOCK = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block: its language, the file that the line before it names with a colon, and its text."""

    language: str
    file: str
    text: str


def page(name: str) -> str:
    """Return the text of a page by its path in the repository."""
    return (ROOT / name).read_text()


def blocks(text: str) -> list[Block]:
    """Return the code blocks of a page in order."""
    return [Block(language, file, code) for file, language, code in _BLOCK.findall(text)]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return _BLOCK.sub("", text)


def sections(text: str) -> dict[str, str]:
    """Return heading -> text of its section, for second-level headings outside code blocks."""
    # In a code block a line that begins with ## is a comment, not a heading.
    hidden = _BLOCK.sub(lambda block: block[0].replace("\n## ", "\n\0# "), text)
    parts = re.split(r"^## (.*)\n", hidden, flags=re.MULTILINE)[1:]
    return {name: body.replace("\0", "#") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def table(text: str) -> list[dict[str, str]]:
    """Return the lines of the only table of a text, each as column name -> cell; empty without a table."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("|")]
    if not lines:
        return []
    names, rule, *rest = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert set("".join(rule)) == {"-"}, "more than a table, or less"
    return [dict(zip(names, cells, strict=True)) for cells in rest]
