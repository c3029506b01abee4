"""The page of every published number with the measured one."""

from __future__ import annotations

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
        frame: as `reproduction_cells.verdicts` returns it.
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


def write(frame: pd.DataFrame, labels: Labels, prefix: Path) -> None:
    """Write prefix.csv and prefix.md, each atomically; the page shows prefix.png."""
    texts = {
        "csv": frame.to_csv(index=False, float_format="%.4f", lineterminator="\n"),
        "md": page(frame, labels, f"{prefix.name}.png"),
    }
    for kind, text in texts.items():
        with atomic(prefix.with_name(f"{prefix.name}.{kind}")) as temporary:
            temporary.write_text(text, encoding="utf-8")


def value(number: dict[str, Any], name: str, spread: str) -> str:
    """Write a number with its deviation, in the format of its quantity."""
    digits = 2 if number["quantity"] == published.CORRELATION else 1
    text = f"{number[name]:.{digits}f}".replace("-", layout.MINUS)
    return text if pd.isna(number[spread]) else f"{text} ± {number[spread]:.{digits}f}"


def _line(number: dict[str, Any], labels: Labels) -> list[str]:
    networks = number["network"] or layout.ABSENT
    if number["condense_network"] not in ("", number["network"]):
        networks = f"{number['condense_network']} → {networks}"
    quantity = "" if number["quantity"] == published.ACCURACY else f", {number['quantity']}"
    return [
        number["source"] + quantity,
        labels.dataset(number["dataset"]),
        layout.size(number["ipc"]),
        labels.method(number["method"]),
        networks,
        number["recipe"] or layout.ABSENT,
        value(number, "published", "published_std"),
        value(number, "measured", "spread"),
        f"{number['sets']}{layout.TIMES}{number['networks'] // max(number['sets'], 1)}",
    ]
