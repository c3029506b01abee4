"""One self-contained HTML page with every table and figure that exists."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError

from condensery.errors import CondenseryError
from condensery.experiment.catalog import TARGETS
from condensery.files import atomic
from condensery.reporting import (
    continual_cells,
    continual_table,
    layout,
    search_cells,
    search_table,
    specs,
    tables,
)
from condensery.reporting.labels import Labels
from condensery.reporting.layout import ABSENT, Cell, Layout

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5c6670; --rule: #d5dae0; --paper: #fff;
  --band: #f5f7f9; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --soft: #9aa5b0; --rule: #3a424a;
  --paper: #15191d; --band: #1d2227; --link: #7db7f0; } }
body { margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 80rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.25; margin: 2.2em 0 .5em; } h1 { margin-top: 0; font-size: 1.9rem; }
h2 { font-size: 1.35rem; border-top: 1px solid var(--rule); padding-top: 1.4em; } h3 { font-size: 1.05rem; }
p { max-width: 48rem; margin: .5em 0; } .soft, figcaption { color: var(--soft); font-size: .9rem; }
nav a { margin-right: 1.2em; } a { color: var(--link); }
.wide { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35em .6em; text-align: right; white-space: nowrap; vertical-align: top; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; max-width: 7.5em; }
.text { text-align: left; }
thead tr { border-bottom: 2px solid var(--rule); } tr.first { border-top: 1px solid var(--rule); }
tbody tr:hover { background: var(--band); }
td small { display: block; color: var(--soft); font-size: .8rem; line-height: 1.35; }
figure { margin: 1.2em 0; }
figure img { max-width: 100%; height: auto; background: #fff; padding: .5rem; border-radius: 4px;
  box-sizing: border-box; }
figcaption { max-width: 48rem; margin-top: .6em; }
"""

_LONG = (
    ("Images/class", ""),
    ("Method", "text"),
    ("Recipe", "text"),
    ("Network", "text"),
    ("Accuracy", ""),
    ("n", ""),
    ("Std between sets", ""),
    ("Std between networks", ""),
    ("Published", ""),
    ("Difference", ""),
    ("Source", "text"),
    ("Evaluation time", ""),
)


def build(csvs: Sequence[Path], pngs: Sequence[Path], labels: Labels, out: Path) -> None:
    """Write the page: tables first, then figures; images are embedded, and nothing is fetched.

    Args:
        csvs: tables that scripts/table.py wrote; the file name is the name of the table.
        pngs: figures that scripts/figure.py wrote, with title and caption inside.
        labels: names for readers.
        out: the HTML file.

    Raises:
        CondenseryError: nothing to show, a file that is absent or is not a table or figure of condensery,
            or a table of another protocol.
    """
    if not csvs and not pngs:
        raise CondenseryError("nothing to report; make a table or a figure first")
    sections = [_table(path, labels) for path in csvs]
    tabled = {anchor for anchor, _, _ in sections}
    for path in pngs:
        anchor, title, content = _figure(path)
        sections.append((f"figure-{anchor}" if anchor in tabled else anchor, title, content))
    links = "".join(f'<a href="#{name}">{escape(title)}</a> ' for name, title, _ in sections)
    heading = f"Results under protocol {labels.protocol}"
    body = "\n".join(
        f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{content}\n</section>'
        for name, title, content in sections
    )
    html = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(heading)}</h1>\n<p>{escape(labels.description)}</p>\n<nav>{links}</nav>\n"
        f"{body}\n</body>\n</html>\n"
    )
    with atomic(out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _table(path: Path, labels: Labels) -> tuple[str, str, str]:
    """Return anchor, title and HTML of a table."""
    section = TARGETS[path.stem].section if path.stem in TARGETS else "targets"
    if section == "continual":
        return path.stem, continual_table.TITLES[path.stem], _continual(path, labels)
    if section == "search":
        return path.stem, search_table.TITLE, _search(path, labels)
    spec = specs.find(path.stem)
    return path.stem, spec.title, _accuracies(path, spec, labels)


def _continual(path: Path, labels: Labels) -> str:
    frame = continual_cells.read_cells(path)
    _check_protocol(path, frame, labels)
    return _texts(continual_table.grid(frame, labels), continual_table.caption(frame, labels))


def _search(path: Path, labels: Labels) -> str:
    frame = search_cells.read(path)
    _check_protocol(path, frame, labels)
    return _texts(search_table.grid(frame, labels), search_table.caption(frame, labels))


def _texts(table: layout.Grid, caption: str) -> str:
    first, *others = table.heads
    heads = [(first, "text"), *((head, "") for head in others)]
    body = [
        _row("".join(_entry(escape(text), kind) for text, (_, kind) in zip(line, heads, strict=True)), False)
        for line in table.lines
    ]
    return f'<p class="soft">{escape(caption)}</p>\n{_grid(heads, body)}'


def _check_protocol(path: Path, frame: pd.DataFrame, labels: Labels) -> None:
    foreign = set(frame["protocol"]) - {labels.protocol}
    if foreign:
        raise CondenseryError(
            f"{path}: made under protocol {min(foreign)!r}, not {labels.protocol!r}; "
            "give tables of one protocol"
        )


def _accuracies(path: Path, spec: specs.Spec, labels: Labels) -> str:
    """Return the HTML of a table of accuracies: the paper's layout, then every cell by data set."""
    frame = tables.read_cells(path)
    _check_protocol(path, frame, labels)
    caption = " ".join([labels.sentence(), *layout.facts(frame)])
    parts = [
        f'<p class="soft">{escape(caption)}</p>',
        f'<p class="soft">{escape(" ".join(spec.notes))}</p>',
        _matrix(frame, spec.layout, labels),
    ]
    for dataset, group in frame.groupby("dataset", sort=False):
        parts += [f"<h3>{escape(str(dataset))}: every cell</h3>", _long(group, labels)]
    return "\n".join(parts)


def _matrix(frame: pd.DataFrame, of: Layout, labels: Labels) -> str:
    columns, lines = layout.matrix(frame, of, labels)
    heads = [(layout.HEADS[name], "" if name == "ipc" else "text") for name in of.lines]
    heads += [(layout.shown(of.columns, column, labels), "") for column in columns]
    body = []
    for i, line in enumerate(lines):
        first = i == 0 or lines[i - 1].titles[0] != line.titles[0]
        entries = [line.titles[0] if first else "", *line.titles[1:]]
        entries = [escape(text) for text in entries] + [_compact(line.cells.get(each)) for each in columns]
        cells = "".join(_entry(html, kind) for html, (_, kind) in zip(entries, heads, strict=True))
        body.append(_row(cells, first))
    return _grid(heads, body)


def _compact(cell: Cell | None) -> str:
    if cell is None:
        return ""
    below = [layout.relative(cell)] if layout.relative(cell) else []
    below += [f"n={layout.count(cell)}"] if cell["networks"] else []
    published = layout.published(cell)
    below += [f"[{published}]"] if published != ABSENT else []
    return escape(layout.measured(cell)) + "".join(f"<small>{escape(text)}</small>" for text in below)


def _long(group: pd.DataFrame, labels: Labels) -> str:
    body, previous = [], None
    for cell in group.to_dict("records"):
        entries = (
            layout.size(cell["ipc"]) if cell["ipc"] != previous else "",
            labels.method(cell["method"]),
            cell["recipe"] or ABSENT,
            layout.networks(cell),
            layout.measured(cell),
            layout.count(cell),
            layout.points(cell["std_between_sets"]),
            layout.points(cell["std_between_networks"]),
            layout.published(cell),
            layout.difference(cell["difference"]),
            cell["source"],
            layout.time(cell["seconds"]),
        )
        cells = "".join(_entry(escape(text), kind) for text, (_, kind) in zip(entries, _LONG, strict=True))
        body.append(_row(cells, cell["ipc"] != previous))
        previous = cell["ipc"]
    return _grid(_LONG, body)


def _grid(heads: Sequence[tuple[str, str]], body: Sequence[str]) -> str:
    head = "".join(f"<th{_kind(kind)}>{escape(text)}</th>" for text, kind in heads)
    table = "\n".join([f"<thead><tr>{head}</tr></thead>", "<tbody>", *body, "</tbody>"])
    return f'<div class="wide"><table>\n{table}\n</table></div>'


def _row(cells: str, first: bool) -> str:
    return f"<tr{_kind('first' if first else '')}>{cells}</tr>"


def _entry(html: str, kind: str) -> str:
    return f"<td{_kind(kind)}>{html}</td>"


def _kind(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _figure(path: Path) -> tuple[str, str, str]:
    """Return anchor, title and HTML of a figure."""
    try:
        with Image.open(path) as image:
            known = {name: image.info.get(name) for name in ("Title", "Description")}
            width, height = image.size
    except (FileNotFoundError, UnidentifiedImageError) as error:
        raise CondenseryError(f"{path}: not a figure; make it with scripts/figure.py") from error
    if not all(known.values()):
        raise CondenseryError(f"{path}: has no title and caption inside; make it with scripts/figure.py")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    title, caption = known["Title"], known["Description"]
    return (
        path.stem,
        title,
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(title)}" width="{width // 2}" '
        f'height="{height // 2}"><figcaption>{escape(caption)}</figcaption></figure>',
    )
