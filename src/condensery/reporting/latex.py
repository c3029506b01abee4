"""Tables as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment.target_kinds import Accuracies
from condensery.experiment.targets import WHOLE
from condensery.reporting import layout
from condensery.reporting.labels import Labels
from condensery.reporting.layout import ABSENT, MINUS, TIMES, Cell

_SPACE = 3  # points at either side of an entry
_COLUMN, _PAGE = 230, 400  # points: one column of a two-column paper, and the width of the narrowest page
_NUMBER = re.compile(r"^(Table|Figure) \w+: ")  # LaTeX numbers tables itself
_TINY = re.compile(r"\{\\tiny(.*?)\}")
_SHORT_HEADS = {"ipc": "Img/cls"}

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    TIMES: r"$\times$",
    MINUS: r"$-$",
    ABSENT: "--",
}


def escape(text: str) -> str:
    """Escape plain text for LaTeX."""
    return "".join(_ESCAPES.get(character, character) for character in text)


@dataclass(frozen=True)
class Choice:
    """The choice of what a table shows.

    Attributes:
        columns: names of the columns, methods or networks, to show; all if empty.
        best: whether the highest measured accuracy of each line is bold.
    """

    columns: tuple[str, ...] = ()
    best: bool = False


WHOLE_TABLE = Choice()
"""Every column, nothing in bold."""


def document(
    label: str, target: Accuracies, frame: pd.DataFrame, labels: Labels, choice: Choice = WHOLE_TABLE
) -> str:
    """Write a table in the paper's layout; it needs the package booktabs, and graphicx if it is wide.

    Every line has the measured accuracies, and below them the published values in brackets. The most common
    n is in the caption, other values are in their cells; machine, time and versions are in a comment.

    Args:
        label: the label of the table, for references.
        target: the entry of the catalog, with title, notes and layout.
        frame: cells as `condensery.reporting.tables.read_cells` returns them.
        labels: titles of methods and data sets, and the protocol.
        choice: the columns that are shown, and whether the best accuracies are bold.

    Raises:
        CondenseryError: the cells do not fit the paper's layout, or a chosen column is not among them.
    """
    columns, lines = layout.matrix(frame, target.layout, labels)
    unknown = sorted(set(choice.columns) - set(columns))
    if unknown:
        raise CondenseryError(f"{label}: no column {unknown[0]!r}; choose from {', '.join(columns)}")
    columns = [column for column in columns if not choice.columns or column in choice.columns]
    names = target.layout.lines
    heads = [_SHORT_HEADS.get(name, layout.HEADS[name]) for name in names]
    heads += [layout.shown(target.layout.columns, column, labels) for column in columns]
    common = layout.usual(frame)
    body: list[list[str]] = []
    previous = None
    for line in lines:
        cells = [line.cells.get(column) for column in columns]
        if not any(cells):
            continue
        dataset, *rest = line.titles
        if previous not in (None, dataset):
            body.append([])
        best = _best(cells) if choice.best else ""
        first = [dataset if dataset != previous else "", *rest]
        previous = dataset
        body.append([*map(escape, first), *(_measured(cell, common, best) for cell in cells)])
        if any(_published(cell) for cell in cells):
            body.append([""] * len(names) + [_published(cell) for cell in cells])
    of_all, *about = layout.facts(frame)
    bold = ["Bold: the highest measured accuracy of each line."] if choice.best else []
    caption = " ".join([f"{target.title}.", labels.sentence(), of_all, *target.notes, *bold])
    sides = "".join("r" if name == "ipc" else "l" for name in names) + "c" * len(columns)
    return _table(label, caption, sides, heads, body, about)


def tabular(label: str, caption: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table of plain text, with the first column aligned left; see `document` for packages.

    Args:
        label: the label of the table, for references.
        caption: plain text.
        heads: one head per column.
        lines: lines with one entry per column; a published value in brackets at its end is set below it.
    """
    body: list[list[str]] = []
    for line in lines:
        parts = [entry.partition(" [") for entry in line]
        body.append([_small(escape(text)) for text, _, _ in parts])
        if any(known for _, _, known in parts):
            body.append([_bracketed(known.removesuffix("]")) for _, _, known in parts])
    return _table(label, caption, "l" + "c" * (len(heads) - 1), heads, body)


def _table(
    label: str,
    caption: str,
    sides: str,
    heads: Sequence[str],
    body: Sequence[Sequence[str]],
    about: Sequence[str] = (),
) -> str:
    """Write a table for one or both columns of a two-column page; an empty line of the body is a rule."""
    entries = [line for line in body if line]
    above = [
        _in_two_lines(head, max(map(_width, column)))
        for head, column in zip(heads, zip(*entries, strict=True), strict=True)
    ]
    width = sum(max(map(_width, column)) for column in zip(above, *entries, strict=True))
    width += 2 * _SPACE * len(heads)
    environment = "table" if width <= _COLUMN else "table*"
    fitted = width > _PAGE
    packages = "booktabs,graphicx" if fitted else "booktabs"
    title = escape(_NUMBER.sub("", caption))
    return "\n".join(
        [
            *(f"% {sentence}" for sentence in about),
            rf"% \usepackage{{{packages}}}",
            rf"\begin{{{environment}}}",
            rf"\centering\scriptsize\setlength{{\tabcolsep}}{{{_SPACE}pt}}",
            rf"\caption{{{title[0].upper()}{title[1:]}}}",
            rf"\label{{tab:{label}}}",
            *([r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"] if fitted else []),
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            _line(above),
            r"\midrule",
            *(_line(line) if line else r"\midrule" for line in body),
            r"\bottomrule",
            r"\end{tabular}" + "}" * fitted,
            rf"\end{{{environment}}}",
            "",
        ]
    )


def _in_two_lines(head: str, width: float) -> str:
    """Write the head of a column, broken at the space nearest its middle if it is wider than the entries."""
    spaces = [index for index, character in enumerate(head) if character == " "]
    if not spaces or _width(escape(head)) <= width:
        return escape(head)
    middle = min(spaces, key=lambda index: abs(index - len(head) / 2))
    return rf"\shortstack{{{escape(head[:middle])}\\{escape(head[middle + 1 :])}}}"


def _width(source: str) -> float:
    """Estimate the width of an entry in points: the digits of Computer Modern at 7 and at 5 points."""
    tiny = sum(map(_length, _TINY.findall(source)))
    lines = _TINY.sub("", source).removeprefix(r"\shortstack{").split(r"\\")
    return 4.0 * max(map(_length, lines)) + 3.4 * tiny


def _length(source: str) -> int:
    return len(re.sub(r"[{}$]", "", re.sub(r"\\textbf|\\,", "", re.sub(r"\\(pm|times)", "x", source))))


def _best(cells: Sequence[Cell | None]) -> str:
    """Return the highest measured accuracy of a line as it is printed, without that on the whole set."""
    known = [cell["mean"] for cell in cells if cell and cell["networks"] and cell["method"] != WHOLE]
    return f"{max(known):.1f}" if known else ""


def _measured(cell: Cell | None, common: str, best: str) -> str:
    if cell is None:
        return ""
    text = layout.measured(cell)
    mean = text.split(" ")[0]
    source = _small(escape(text))
    if mean == best and cell["method"] != WHOLE:
        source = rf"\textbf{{{mean}}}{source.removeprefix(mean)}"
    share = layout.relative(cell)
    source += escape(f", {share}") if share else ""
    stated = layout.stated_count(cell, common)
    return rf"{source} {{\tiny({escape(stated)})}}" if stated else source


def _published(cell: Cell | None) -> str:
    if cell is None or layout.published(cell) == ABSENT:
        return ""
    return _bracketed(layout.published(cell))


def _bracketed(text: str) -> str:
    # Braces, because a bracket right after \\ would be read as its optional argument.
    return f"{{[}}{_small(escape(text))}{{]}}" if text else ""


def _small(source: str) -> str:
    """Set deviations in a smaller size."""
    return re.sub(r" \$\\pm\$ ([\d.]+)", r"{\\tiny$\\,\\pm\\,$\1}", source)


def _line(entries: Sequence[str]) -> str:
    return " & ".join(entries) + r" \\"
