"""A hook of MkDocs: the site has the layout of the repository, so that links of pages lead to the same files.

MkDocs takes the pages of one folder. Here README.md is the first page, docs/ keeps its place, and whatever a
page links to, a page, a picture or a file of settings, is part of the site. A notebook is shown as
a page, with the outputs that it has.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ".ipynb"
LINK = re.compile(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace the files of docs/ by all files that the pages lead to, under their paths in the repository."""
    for file in list(files.documentation_pages()) + list(files.media_files()):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted(reached([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])):
        uri, level = path.relative_to(ROOT).as_posix(), InclusionLevel.INCLUDED
        files.append(File.generated(config, uri, abs_src_path=str(path), inclusion=level))
        if path.suffix == NOTEBOOK:
            shown = Path(uri).with_suffix(".md").as_posix()
            files.append(File.generated(config, shown, content=notebook(path), inclusion=level))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to notebooks lead to their pages, but for the one by which a page offers its notebook."""
    own = Path(page.file.src_uri).with_suffix(NOTEBOOK).name
    return re.sub(
        rf"\]\(([^)\s]+){re.escape(NOTEBOOK)}\)",
        lambda link: link[0] if f"{link[1]}{NOTEBOOK}" == own else f"]({link[1]}.md)",
        markdown,
    )


def notebook(path: Path) -> str:
    """Return a notebook as a page: its texts, its code, and what its code printed and drew."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    heading, *parts = [part for cell in cells for part in _parts(cell)]
    return "\n\n".join([heading, f"[This page as a notebook]({path.name})", *parts]) + "\n"


def _parts(cell: dict[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    parts = [f"```python\n{source}\n```"]
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" in data:
            image = "".join(data["image/png"]).replace("\n", "")
            parts.append(f'<img alt="" src="data:image/png;base64,{image}">')
        else:
            parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    return parts


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
