"""Tables as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from condensery.reporting import layout
from condensery.reporting.labels import Labels
from condensery.reporting.layout import ABSENT, MINUS, TIMES, Cell
from condensery.reporting.specs import Spec

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


def document(label: str, spec: Spec, frame: pd.DataFrame, labels: Labels) -> str:
    """Write a table in the paper's layout; it needs the package booktabs.

    Every line has the measured accuracies with their n, and below them the published values in brackets.

    Raises:
        CondenseryError: the cells do not fit the paper's layout.
    """
    columns, lines = layout.matrix(frame, spec.layout, labels)
    names = spec.layout.lines
    heads = [_SHORT_HEADS.get(name, layout.HEADS[name]) for name in names]
    heads += [layout.shown(spec.layout.columns, column, labels) for column in columns]
    body: list[str] = []
    previous = None
    for line in lines:
        dataset, *rest = line.titles
        if previous is not None and dataset != previous:
            body.append(r"\midrule")
        first = [dataset if dataset != previous else "", *rest]
        previous = dataset
        cells = [line.cells.get(column) for column in columns]
        body.append(_line([escape(text) for text in first] + [_measured(cell) for cell in cells]))
        if any(_published(cell) for cell in cells):
            body.append(_line([""] * len(names) + [_published(cell) for cell in cells]))
    caption = escape(" ".join([f"{spec.title}.", labels.sentence(), *layout.facts(frame), *spec.notes]))
    sides = "".join("r" if name == "ipc" else "l" for name in names)
    sides += f"*{{{len(columns)}}}{{c}}"
    return _table(label, caption, sides, heads, body)


def tabular(label: str, caption: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table of plain text, its first column to the left; it needs the package booktabs."""
    body = [_line([escape(text) for text in line]) for line in lines]
    return _table(label, escape(caption), "l" + "c" * (len(heads) - 1), heads, body)


def _table(label: str, caption: str, sides: str, heads: Sequence[str], body: Sequence[str]) -> str:
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            _line([escape(head) for head in heads]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def _measured(cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = escape(", ".join(filter(None, [layout.measured(cell), layout.relative(cell)])))
    return rf"{text} {{\tiny({escape(layout.count(cell))})}}" if cell["networks"] else text


def _published(cell: Cell | None) -> str:
    if cell is None or layout.published(cell) == ABSENT:
        return ""
    # Braces, because a bracket right after \\ would be read as its optional argument.
    return f"{{[}}{escape(layout.published(cell))}{{]}}"


def _line(entries: Sequence[str]) -> str:
    return " & ".join(entries) + r" \\"
