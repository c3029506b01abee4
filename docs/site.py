"""A hook of MkDocs: the site has the layout of the repository, so that links of pages lead to the same files.

MkDocs takes the pages of one folder. Here README.md is the first page, docs/ keeps its place, and whatever a
page links to, a page, a picture or a file of settings, is part of the site.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs/ by all files that the pages lead to, under their paths in the repository."""
    for file in list(files.documentation_pages()) + list(files.media_files()):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted(reached([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])):
        uri, level = path.relative_to(ROOT).as_posix(), InclusionLevel.INCLUDED
        files.append(File.generated(config, uri, abs_src_path=str(path), inclusion=level))
    return files


def reached(paths: list[Path]) -> set[Path]:
    """Return these files and all that the pages among them link to, directly or through other pages."""
    found: set[Path] = set()
    while paths:
        path = paths.pop()
        if path in found or not path.is_file() or not path.is_relative_to(ROOT):
            continue
        found.add(path)
        if path.suffix == ".md":
            links = LINK.findall(path.read_text(encoding="utf-8"))
            paths += [(path.parent / link).resolve() for link in links]
    return found
