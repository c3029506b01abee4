"""Rows of measurements, and their CSV and Markdown files."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from condensery.files import atomic
from harness.case import LOOPS, METHODS, Case
from harness.ceilings import Ceilings

Row = Mapping[str, Any]

# Largest memory of a step of DSA on a CPU, in bytes.
DSA_LIMIT = 4e9

STUDIES = {
    "classes": "Growth with the number of classes",
    "ipc": "Growth with the images per class",
    "size": "Growth with the size of the images",
    "images": "Growth with the size of the data set",
}

_COLUMNS: dict[str, Callable[[Row], str]] = {
    "loop": lambda r: r["loop"],
    "precision": lambda r: r["precision"],
    "compiled": lambda r: "yes" if r["compiled"] else "no",
    "step": lambda r: f"{digits(1e3 * r['seconds'])} ± {digits(1e3 * r['spread'])} ms",
    "images/s": lambda r: f"{float(r['images_per_second']):,.0f}",
    "GFLOP": lambda r: digits(r["operations"] / 1e9),
    "GB": lambda r: digits(r["bytes"] / 1e9),
    "of the product": lambda r: f"{r['of_product']:.0%}",
    "of the copy": lambda r: f"{r['of_copy']:.0%}",
    "of the ceiling": lambda r: f"{r['of_ceiling']:.0%}",
    "peak memory": lambda r: f"{r['peak_bytes'] / 1e6:,.0f} MB",
    "first step": lambda r: f"{r['first_seconds']:,.1f} s",
}

# Columns for which images and bytes would have to be counted for each of the methods after DM.
_NOT_OF_METHODS = ("images/s", "GB", "of the copy", "of the ceiling")


def row(case: Case, result: Row, ceilings: Ceilings, about: Row) -> dict[str, Any]:
    """Return one line of the CSV file.

    Args:
        case: the measured case.
        result: result of :func:`harness.measure.case`.
        ceilings: ceilings of the machine in the precision of the case.
        about: machine and versions, from :func:`harness.measure.machine`.
    """
    seconds, images = result["seconds"], case.images_per_step
    derived = {
        "images_per_second": "" if images is None else images / seconds,
        "of_product": result["operations"] / seconds / ceilings.operations,
        "of_copy": result["bytes"] / seconds / ceilings.bytes,
        "of_ceiling": ceilings.least_seconds(result["operations"], result["bytes"]) / seconds,
        "product_operations_per_second": ceilings.operations,
        "copy_bytes_per_second": ceilings.bytes,
    }
    return {**asdict(case), **result, **derived, **about}


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write all rows, atomically."""
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def kept(path: Path, about: Row) -> list[dict[str, Any]]:
    """Return the rows of an earlier run on the same machine with the same versions; none after a first run.

    Args:
        path: the CSV file.
        about: machine and versions of this run.
    """
    if not path.exists():
        return []
    rows = pd.read_csv(path, keep_default_na=False).to_dict("records")
    return [r for r in rows if all(str(r.get(name)) == str(value) for name, value in about.items())]


def holding(rows: Sequence[dict[str, Any]], fields: Row) -> dict[str, Any] | None:
    """Return the row with the values of a case's fields, or None."""
    return next((r for r in rows if all(r[name] == value for name, value in fields.items())), None)


def write_markdown(rows: Sequence[Row], missing: Sequence[str], path: Path) -> None:
    """Write the tables.

    Args:
        rows: the measurements.
        missing: descriptions of the cases without a measurement, each with its reason.
        path: the file to write.
    """
    with atomic(path) as temporary:
        temporary.write_text(markdown(rows, missing), encoding="utf-8")


def markdown(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """Return the tables as text; see :func:`write_markdown`."""
    first = rows[0]
    main = [r for loop in LOOPS for r in rows if (r["study"], r["loop"]) == ("loops", loop)]
    parts = [
        f"# Benchmark: {first['device']}\n",
        f"condensery {first['condensery']} at {first['commit'][:12]}, PyTorch {first['torch']}, Python "
        f"{first['python']}. [README.md](../../README.md) says what the columns mean.\n",
        "## Ceilings\n",
        grid(["precision", "matrix product", "copy, read and written"], _ceilings(rows)),
        "## Hot loops\n",
        _sizes(main),
        *(f"- `{name}`: {what}" for name, what in LOOPS.items()),
        "",
        _table(main, {}),
    ]
    if peak := dsa_peak(rows):
        parts.append(peak + "\n")
    if later := [r for loop in METHODS for r in rows if (r["study"], r["loop"]) == ("methods", loop)]:
        parts += [
            "## Methods after DM\n",
            _sizes(later),
            *(f"- `{name}`: {what}" for name, what in METHODS.items()),
            "",
            _table(later, {}, without=_NOT_OF_METHODS),
        ]
    for study, title in STUDIES.items():
        if grown := [r for r in rows if r["study"] == study]:
            parts += [f"## {title}\n", _sizes(grown, without=study), _table(grown, {study: _count(study)})]
    if missing:
        parts += ["## Not measured\n", *(f"- {text}" for text in missing), ""]
    return "\n".join(parts)


def _count(column: str) -> Callable[[Row], str]:
    return lambda row: f"{row[column]:,}"


def dsa_peak(rows: Sequence[Row]) -> str | None:
    """Return a sentence on the memory of a step of DSA at its full size, or None if it was not measured."""
    peaks = [
        r["peak_bytes"]
        for r in rows
        if r["study"] == "loops" and r["loop"] == "dsa-pixels" and r["ipc"] == 10 and r["batch_real"] == 256
    ]
    if not peaks:
        return None
    text = f"Peak memory of one DSA step with 10 images per class: {max(peaks) / 1e6:,.0f} MB"
    if rows[0]["kind"] != "cpu":
        return text + "."
    verdict = "under" if max(peaks) < DSA_LIMIT else "OVER"
    return f"{text} with the whole process, {verdict} the limit of {DSA_LIMIT / 1e6:,.0f} MB."


def digits(value: float) -> str:
    """Return a number with three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ceilings(rows: Sequence[Row]) -> list[list[str]]:
    found = {r["precision"]: (r["product_operations_per_second"], r["copy_bytes_per_second"]) for r in rows}
    return [[name, f"{a / 1e9:,.0f} GFLOP/s", f"{b / 1e9:,.1f} GB/s"] for name, (a, b) in found.items()]


def _sizes(rows: Sequence[Row], without: str = "") -> str:
    """Return a sentence with the sizes that all rows share."""
    named = {
        "classes": "classes",
        "ipc": "images per class",
        "size": "pixels per side",
        "batch_real": "real images of a class in a step",
        "images": "training images",
    }
    shared = {
        name: values.pop()
        for name in named
        if name != without and len(values := {r[name] for r in rows}) == 1
    }
    text = "; ".join(f"{named[name]}: {value:,}" for name, value in shared.items())
    return f"{text[:1].upper()}{text[1:]}.\n"


def _table(
    rows: Sequence[Row], varied: Mapping[str, Callable[[Row], str]], without: Collection[str] = ()
) -> str:
    several = any(r["networks"] > 1 for r in rows)
    counted = {"networks": lambda r: str(r["networks"])} if several else {}
    columns = {"loop": _COLUMNS["loop"], **varied, **counted, **_COLUMNS}
    columns = {name: text for name, text in columns.items() if name not in without}
    return grid(list(columns), [[text(r) for text in columns.values()] for r in rows])


def grid(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
