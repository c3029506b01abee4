"""One self-contained HTML page with every table and figure that exists."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, UnidentifiedImageError

from condensery.errors import CondenseryError
from condensery.experiment.catalog import TARGETS, find
from condensery.experiment.target_kinds import Accuracies, Layout, Memories, SearchTable
from condensery.experiment.targets import WHOLE
from condensery.files import atomic
from condensery.reporting import (
    continual_cells,
    continual_table,
    layout,
    overview,
    search_cells,
    search_table,
    tables,
)
from condensery.reporting.labels import Labels
from condensery.reporting.layout import ABSENT, Cell
from condensery.reporting.overview import Summary

_LONG = (
    ("Method", True),
    ("Images/class", False),
    ("Recipe", True),
    ("Network", True),
    ("Accuracy", False),
    ("n", False),
    ("Std between sets", False),
    ("Std between networks", False),
    ("Published", False),
    ("Difference", False),
    ("Source", True),
    *((head, False) for head in layout.SIZES),
    ("Evaluation time", False),
    ("Files", True),
)
_TABLE_FILES = ("csv", "tex", "md", "json", "cost.md", "cost.csv")
_FIGURE_FILES = ("png", "pdf", "csv", "md")
# Name for readers -> folder of results/<protocol>/.
_FOLDERS = {"synthetic sets": "synthetic", "rows": "accuracy", "logs": "logs", "run times": "benchmarks"}
_CELL_FOLDERS = {"sets": "synthetic", "rows": "accuracy", "logs": "logs/accuracy"}


@dataclass(frozen=True)
class Link:
    """A link to a file or folder, with an address relative to the page."""

    text: str
    address: str


@dataclass(frozen=True)
class Entry:
    """An entry of a table: its text, small text below it, and links to files."""

    text: str
    below: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of a table; the first of a group has a rule above it."""

    entries: tuple[Entry, ...]
    first: bool = False


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        heads: the heads of the columns, each with whether its entries are aligned left.
        lines: the lines, whose first entry is a heading.
        title: the title above the table; may be empty.
    """

    heads: tuple[tuple[Entry, bool], ...]
    lines: tuple[Line, ...]
    title: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG image in base 64 with its size on the page, in CSS pixels."""

    data: str
    width: int
    height: int


@dataclass(frozen=True)
class Section:
    """The section of the page on one table or figure."""

    anchor: str
    title: str
    notes: tuple[str, ...]
    files: tuple[Link, ...]
    grids: tuple[Grid, ...] = ()
    image: Picture | None = None


def build(csvs: Sequence[Path], pngs: Sequence[Path], labels: Labels, out: Path) -> None:
    """Write the page: an overview, tables and figures; images are embedded, and nothing is fetched.

    Other formats of tables and figures, and the folders of sets, rows and logs next to the page, are linked
    by relative addresses.

    Args:
        csvs: tables that scripts/table.py wrote; the file name is the name of the table.
        pngs: figures that scripts/figure.py wrote, which contain title and caption.
        labels: names for readers.
        out: the HTML file.

    Raises:
        CondenseryError: there is nothing to show; a file is absent, or is not a table or figure of
            condensery; or a table is of another protocol.
    """
    if not csvs and not pngs:
        raise CondenseryError("nothing to report; make a table or a figure first")
    folder = out.parent
    tabled, summaries = [], []
    for path in csvs:
        section, summary = _table(path, labels, folder)
        tabled.append(section)
        summaries.append(summary)
    anchors = {section.anchor for section in tabled}
    figures = [_figure(path, anchors, folder) for path in pngs]
    environment = Environment(
        loader=PackageLoader("condensery", "reporting/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    html = environment.get_template("report.html.jinja").render(
        heading=f"Results under protocol {labels.protocol}",
        description=labels.description,
        folders=_links(folder, {text: folder / name for text, name in _FOLDERS.items()}),
        tables=tabled,
        figures=figures,
        overview=_overview(summaries),
        points=overview.points(summaries),
    )
    with atomic(out) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _links(folder: Path, paths: dict[str, Path]) -> tuple[Link, ...]:
    """Return links from the page's folder to those of the paths that exist."""
    return tuple(
        Link(text, quote(Path(os.path.relpath(path, folder)).as_posix()))
        for text, path in paths.items()
        if path.exists()
    )


def _files(path: Path, suffixes: Sequence[str], folder: Path) -> tuple[Link, ...]:
    """Return links to the files of a table or figure, and to the log of the job that made it."""
    files = {suffix: path.with_name(f"{path.stem}.{suffix}") for suffix in suffixes}
    return _links(folder, files | {"log": folder / "logs" / path.parent.name / f"{path.stem}.log"})


def _overview(summaries: Sequence[Summary]) -> Grid:
    lines = [
        Line((Entry("", links=(Link(each.title, f"#{each.target}"),)), *map(Entry, each.texts)))
        for each in summaries
    ]
    lefts = (True, False, False, False, True)
    return Grid(tuple(zip(map(Entry, overview.HEADS), lefts, strict=True)), tuple(lines))


def _table(path: Path, labels: Labels, folder: Path) -> tuple[Section, Summary]:
    """Return the section of a table, and its line in the overview."""
    target = TARGETS.get(path.stem)
    notes: tuple[str, ...]
    grids: tuple[Grid, ...]
    if isinstance(target, Memories):
        frame = continual_cells.read_cells(path)
        notes = (continual_table.caption(frame, labels),)
        grids = (_texts(continual_table.grid(frame, labels)),)
        measured, compared = len(frame), overview.of_continual(frame, labels)
    elif isinstance(target, SearchTable):
        frame = search_cells.read(path)
        notes = (search_table.caption(frame, labels),)
        grids = (_texts(search_table.grid(frame, labels)),)
        measured, compared = len(frame), overview.of_search(frame, labels)
    else:
        target = find(Accuracies, path.stem)
        frame = tables.read_cells(path)
        notes = (" ".join([labels.sentence(), *layout.facts(frame)]), " ".join(target.notes))
        grids = _accuracies(frame, target.layout, labels, folder)
        measured, compared = int((frame["networks"] > 0).sum()), overview.of_accuracies(frame, labels)
    _check_protocol(path, frame, labels)
    section = Section(path.stem, target.title, notes, _files(path, _TABLE_FILES, folder), grids)
    return section, Summary(path.stem, target.title, measured, compared)


def _check_protocol(path: Path, frame: pd.DataFrame, labels: Labels) -> None:
    foreign = set(frame["protocol"]) - {labels.protocol}
    if foreign:
        raise CondenseryError(
            f"{path}: made under protocol {min(foreign)!r}, not {labels.protocol!r}; "
            "give tables of one protocol"
        )


def _texts(table: layout.Grid) -> Grid:
    heads = tuple((Entry(head), number == 0) for number, head in enumerate(table.heads))
    return Grid(heads, tuple(Line(tuple(map(Entry, line))) for line in table.lines))


def _accuracies(frame: pd.DataFrame, of: Layout, labels: Labels, folder: Path) -> tuple[Grid, ...]:
    """Return the paper's layout, then every cell by data set."""
    by_dataset = frame.groupby("dataset", sort=False)
    every = (
        _long(group, f"{labels.dataset(dataset)}: every cell", labels, folder)
        for dataset, group in by_dataset
    )
    return (_matrix(frame, of, labels), *every)


def _matrix(frame: pd.DataFrame, of: Layout, labels: Labels) -> Grid:
    columns, lines = layout.matrix(frame, of, labels)
    common = layout.usual(frame)
    first, *others = (layout.HEADS[name] for name in of.lines)
    heads = [(Entry(first, (", ".join(others),)), True)]
    heads += [(Entry(layout.shown(of.columns, column, labels)), False) for column in columns]
    body = []
    for i, line in enumerate(lines):
        dataset, *titles = line.titles
        below = ", ".join(title for title in titles if title != ABSENT)
        entries = (Entry(dataset, (below,)), *(_compact(line.cells.get(c), common) for c in columns))
        body.append(Line(entries, i == 0 or lines[i - 1].titles[0] != dataset))
    return Grid(tuple(heads), tuple(body))


def _compact(cell: Cell | None, common: str) -> Entry:
    if cell is None:
        return Entry("")
    below = [layout.relative(cell)] if layout.relative(cell) else []
    stated = layout.stated_count(cell, common)
    below += [f"n={stated}"] if stated else []
    published = layout.published(cell)
    below += [f"[{published}]"] if published != ABSENT else []
    return Entry(layout.measured(cell), tuple(below))


def _long(group: pd.DataFrame, title: str, labels: Labels, folder: Path) -> Grid:
    body, previous = [], None
    for cell in group.to_dict("records"):
        texts = (
            labels.method(cell["method"]),
            layout.size(cell["ipc"]),
            cell["recipe"] or ABSENT,
            layout.networks(cell),
            layout.measured(cell),
            layout.count(cell),
            layout.points(cell["std_between_sets"]),
            layout.points(cell["std_between_networks"]),
            layout.published(cell),
            layout.difference(cell["difference"]),
            cell["source"],
            *layout.sizes(cell),
            layout.time(cell["seconds"]),
        )
        files = Entry("", links=_cell_files(cell, folder))
        body.append(Line((*map(Entry, texts), files), cell["ipc"] != previous))
        previous = cell["ipc"]
    return Grid(tuple((Entry(head), left) for head, left in _LONG), tuple(body), title)


def _cell_files(cell: Cell, folder: Path) -> tuple[Link, ...]:
    """Return links to the folders of a cell: its sets, its rows, and the logs of its evaluations."""
    network = cell["condense_network"] or cell["evaluate_network"]
    coordinates = Path(cell["dataset"], cell["method"], network, f"ipc{cell['ipc']}")
    if cell["method"] == WHOLE:
        coordinates = Path(cell["dataset"], WHOLE, f"{cell['recipe']}-{cell['evaluate_network']}")
    paths = {text: folder / name / coordinates for text, name in _CELL_FOLDERS.items()}
    return _links(folder, paths) if cell["networks"] else ()


def _figure(path: Path, tabled: set[str], folder: Path) -> Section:
    """Return the section of a figure."""
    try:
        with Image.open(path) as image:
            title, caption = (image.info.get(name) for name in ("Title", "Description"))
            width, height = image.size
    except (FileNotFoundError, UnidentifiedImageError) as error:
        raise CondenseryError(f"{path}: not a figure; make it with scripts/figure.py") from error
    if not title or not caption:
        raise CondenseryError(f"{path}: has no title and caption inside; make it with scripts/figure.py")
    return Section(
        f"figure-{path.stem}" if path.stem in tabled else path.stem,
        title,
        (caption,),
        _files(path, _FIGURE_FILES, folder),
        image=Picture(base64.b64encode(path.read_bytes()).decode("ascii"), width // 2, height // 2),
    )
