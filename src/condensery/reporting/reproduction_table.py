"""The page of every published number with the measured one, and the small table of README."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from condensery.files import atomic
from condensery.reporting import layout, markdown, published
from condensery.reporting.labels import Labels
from condensery.reporting.reproduction_cells import (
    DEVIATIONS,
    NOT_COMPARABLE,
    NOT_MEASURED,
    OUTSIDE,
    WITHIN,
    sentence,
)

OFF = "\N{BALLOT X}"
"""The mark of a number with the verdict outside."""

TITLE = "Every published number beside the measured one"

_HEADS = (
    "Source",
    "Data set",
    "Images/class",
    "Method",
    "Network",
    "Recipe",
    "Published",
    "Measured",
    f"Sets {layout.TIMES} networks",
)
_RULE = (
    f"A number is within if it differs from the published one by at most {DEVIATIONS:g} combined standard "
    "deviations: the root of the summed squares of the published deviation and of the measured one, which is "
    "that of the means of the synthetic sets, or of the networks where there is one set. A number is "
    "compared only if every step, epoch, batch and rate was that of protocol `paper`; the epochs of the "
    "network that herding, forgetting and k-center select with are not published and may differ."
)


def page(frame: pd.DataFrame, labels: Labels, figure: str) -> str:
    """Write the page in Markdown: counts, the figure, then every measured number.

    Args:
        frame: verdicts as `reproduction_cells.verdicts` returns them.
        labels: names for readers.
        figure: file name of the figure.
    """
    parts = [f"# {TITLE}", sentence(frame), f"![{TITLE}]({figure})", _RULE]
    for verdict, title in ((OUTSIDE, "Outside"), (WITHIN, "Within")):
        lines = [_line(number, labels) for number in frame[frame["verdict"] == verdict].to_dict("records")]
        if lines:
            parts += [f"## {title}", markdown.table(_HEADS, lines)]
    shortened = frame[frame["verdict"] == NOT_COMPARABLE].to_dict("records")
    if shortened:
        heads = (*_HEADS, "Protocol", "Not comparable because")
        lines = [[*_line(n, labels), n["protocol"], n["reason"]] for n in shortened]
        parts += ["## Measured under a shortened protocol", markdown.table(heads, lines)]
    missing = frame[frame["verdict"] == NOT_MEASURED]
    if len(missing):
        per_source = [
            [source, str(count)] for source, count in missing.groupby("source", sort=False).size().items()
        ]
        parts += ["## Not measured", markdown.table(("Source", "Numbers"), per_source)]
    return "\n\n".join(parts) + "\n"


def summary(frame: pd.DataFrame, labels: Labels) -> str:
    """Write the summary for README in Markdown: the counts, then the compared numbers in a few columns.

    A line is a method on a data set, with the published and the measured number per size. A number that two
    tables of the papers print occurs once; if they print different numbers, there are two lines.

    Args:
        frame: verdicts as `reproduction_cells.verdicts` returns them.
        labels: names for readers.
    """
    compared = frame[frame["verdict"].isin((WITHIN, OUTSIDE))]
    if compared.empty:
        return sentence(frame)
    sizes = layout.order("ipc", compared["ipc"], labels)
    several = compared.groupby("dataset")["network"].nunique() > 1
    lines: dict[tuple[str, str], dict[int, str]] = {}
    for number in compared.to_dict("records"):
        pair = _pair(number)
        dataset, name = number["dataset"], _name(number, labels, several[number["dataset"]])
        if lines.get((dataset, name), {}).get(number["ipc"], pair) != pair:
            name += f" ({number['source']})"
        lines.setdefault((dataset, name), {})[number["ipc"]] = pair
    shown: list[list[str]] = []
    for dataset in dict.fromkeys(compared["dataset"]):
        first = labels.dataset(dataset)
        for (of, name), pairs in lines.items():
            if of == dataset:
                shown.append([first, name, *(pairs.get(size, "") for size in sizes)])
                first = ""
    heads = ("Data set", "Method", *(f"{layout.size(size)} per class" for size in sizes))
    return "\n\n".join([sentence(frame), markdown.table(heads, shown), _note(compared)])


def write(frame: pd.DataFrame, labels: Labels, prefix: Path) -> None:
    """Write prefix.csv and prefix.md, each atomically.

    Args:
        frame: verdicts as `reproduction_cells.verdicts` returns them.
        labels: names for readers.
        prefix: path of the files without their suffix; the page shows the figure prefix.png.
    """
    texts = {
        "csv": frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
        "md": page(frame, labels, f"{prefix.name}.png"),
    }
    for kind, text in texts.items():
        with atomic(prefix.with_name(f"{prefix.name}.{kind}")) as temporary:
            temporary.write_text(text, encoding="utf-8")


def value(number: dict[str, Any], name: str, spread: str) -> str:
    """Write a number with its deviation: accuracies with one decimal, correlations with two.

    Args:
        number: a line of the verdicts.
        name: the column of the number.
        spread: the column of its deviation, which may be NaN.
    """
    digits = 2 if number["quantity"] == published.CORRELATION else 1
    text = f"{number[name]:.{digits}f}".replace("-", layout.MINUS)
    return text if pd.isna(number[spread]) else f"{text} ± {number[spread]:.{digits}f}"


def _name(number: dict[str, Any], labels: Labels, several: bool) -> str:
    """Name the method of a number, with its quantity and, where a data set has several, its network."""
    parts = [labels.method(number["method"])]
    if number["quantity"] != published.ACCURACY:
        parts.append(number["quantity"])
    return ", ".join([*parts, _networks(number)] if several else parts)


def _pair(number: dict[str, Any]) -> str:
    """Write the published and the measured number, as narrow as the papers print them."""
    known, found = (
        value(number, *names).replace(" ", "")
        for names in (("published", "published_std"), ("measured", "spread"))
    )
    return f"{known} / {found}" + (f" {OFF}" if number["verdict"] == OUTSIDE else "")


def _note(compared: pd.DataFrame) -> str:
    """Return sentences about the content of a cell, and the numbers of sets and networks."""
    counts = " or ".join(sorted(set(compared.apply(_count, axis=1))))
    mark = f"; {OFF} is outside" if (compared["verdict"] == OUTSIDE).any() else ""
    return (
        f"Published / measured test accuracy in %, ± one standard deviation{mark}. "
        f"Sets {layout.TIMES} networks on each: {counts}."
    )


def _networks(number: Mapping[str, Any]) -> str:
    networks = number["network"] or layout.ABSENT
    if number["condense_network"] not in ("", number["network"]):
        return f"{number['condense_network']} → {networks}"
    return networks


def _count(number: Mapping[str, Any]) -> str:
    return f"{number['sets']}{layout.TIMES}{number['networks'] // max(number['sets'], 1)}"


def _line(number: dict[str, Any], labels: Labels) -> list[str]:
    quantity = "" if number["quantity"] == published.ACCURACY else f", {number['quantity']}"
    return [
        number["source"] + quantity,
        labels.dataset(number["dataset"]),
        layout.size(number["ipc"]),
        labels.method(number["method"]),
        _networks(number),
        number["recipe"] or layout.ABSENT,
        value(number, "published", "published_std"),
        value(number, "measured", "spread"),
        _count(number),
    ]
