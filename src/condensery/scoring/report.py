"""Scores for readers and programs: as text, JSON and a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from condensery.files import atomic
from condensery.machine.versions import versions
from condensery.reporting.layout import ABSENT, SIZES
from condensery.rows import COORDINATES, EXAMINATION, write_rows
from condensery.scoring import corruptions
from condensery.scoring.cells import Row
from condensery.scoring.examining import IMAGES
from condensery.scoring.formulas import CONFIDENCE, WEIGHT, Estimate
from condensery.scoring.scores import Score

SCHEMA = "condensery-score/1"

Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
"""Heads, and lines of as many texts."""

NOTE = (
    f"Accuracies are percent of the test images after the last epoch. [ ] is a {CONFIDENCE:.0%} confidence "
    "interval over networks; each network on random images has others. One random set: where a set of random "
    "images is to be expected; a set there may be no better than a lucky choice. IOR: accuracy minus that of "
    "random images, in points. HLR: accuracy of the whole set minus that of the set with hard labels. LRS "
    "and ARS: 0 to 100, DD-Ranking's formulas with accuracies as fractions."
)


LOOKED = "* The best of several looks at the test images for each network: selected on them."
PRINTED = (
    "† The whole set's accuracy is the published one ({}), not measured, and HLR and LRS take it as exact; "
    "how its networks were trained is not stated. --whole-networks N trains some."
)
ROBUST = (
    f"Corrupted: mean over {len(corruptions.KINDS)} kinds and {len(corruptions.SEVERITIES)} severities, as "
    f"in CIFAR-10-C. PGD-10: under attack within 8/255 of each pixel. Both on {IMAGES:,} test images, or "
    "all if there are fewer."
)
BELOW = (
    "Below random images: {}. If the method does not explain this, check the set's data set, normalization, "
    "formation and order of labels (docs/synthetic-set.md)."
)
_KEYS = ("Set", "Recipe")


def document(scores: Sequence[Score]) -> dict[str, Any]:
    """Return scores as JSON-able values: their fields without the rows, and the settings."""
    sets = []
    for each in scores:
        fields = asdict(each)
        del fields["rows"], fields["examinations"]
        sets.append(fields)
    return {
        "schema": SCHEMA,
        "confidence": CONFIDENCE,
        "weight": WEIGHT,
        "versions": versions(),
        "sets": sets,
    }


def text(scores: Sequence[Score]) -> str:
    """Return scores as tables in plain text."""
    return "\n\n".join([*(_aligned(table) for table in tables(scores)), *notes(scores)])


def tables(scores: Sequence[Score]) -> list[Table]:
    """Return the tables: accuracies and figures, optional tests, and the storage of the sets."""
    found = [_figures(scores), _examined(scores), _stored(scores)]
    return [(heads, lines) for heads, lines in found if len(heads) > len(_KEYS) + len(SIZES)]


def notes(scores: Sequence[Score]) -> list[str]:
    """Return the notes that explain the tables."""
    lines = [line for each in scores for line in each.lines]
    looked = any(line.best_look for line in lines)
    robust = any(line.corrupted for line in lines)
    below = [
        f"{each.name}, {line.recipe}"
        for each in scores
        for line in each.lines
        if line.gain.high is not None and line.gain.high < 0
    ]
    printed = "; ".join(sorted({line.whole_source for line in lines} - {""}))
    return [
        NOTE,
        *([BELOW.format("; ".join(below))] if below else []),
        *([PRINTED.format(printed)] if printed else []),
        *([LOOKED] if looked else []),
        *([ROBUST] if robust else []),
    ]


def write(scores: Sequence[Score], folder: Path) -> None:
    """Write ``score.json``, ``report.html``, ``score.txt`` and ``rows.parquet`` into a folder.

    Rows of other tests, if there are any, are in ``tests.parquet``. Each file is written atomically, and
    replaces that of an earlier score.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {tuple(row[name] for name in COORDINATES): row for each in scores for row in each.rows}
    write_rows(list[Row](rows.values()), folder / "rows.parquet")
    if examinations := [row for each in scores for row in each.examinations]:
        coordinates = EXAMINATION.coordinates
        once = {tuple(row[name] for name in coordinates): row for row in examinations}
        write_rows(list[Row](once.values()), folder / "tests.parquet", EXAMINATION)
    files = {
        "score.json": json.dumps(document(scores), indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        "score.txt": text(scores) + "\n",
        "report.html": page(scores),
    }
    for name, content in files.items():
        with atomic(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")


def page(scores: Sequence[Score]) -> str:
    """Return one self-contained HTML page."""
    environment = Environment(
        loader=PackageLoader("condensery", "reporting/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    first = scores[0]
    return environment.get_template("score.html.jinja").render(
        heading=f"Score on {first.dataset_title}: {', '.join(dict.fromkeys(each.name for each in scores))}",
        settings=settings(first),
        tables=tables(scores),
        notes=notes(scores),
    )


def settings(score: Score) -> str:
    """Return the sentence with the settings of the score."""
    return (
        f"Data set {score.dataset_title}, network {score.network}, protocol {score.protocol}, "
        f"{score.precision}, {score.device}."
    )


def _figures(scores: Sequence[Score]) -> Table:
    heads = (
        *_KEYS,
        *("n", "n of random"),
        *("Accuracy", "Random", "One random set", "IOR", "Hard labels", "Whole set", "HLR", "LRS", "ARS"),
        *SIZES,
    )
    lines = []
    for each in scores:
        for line in each.lines:
            ars = each.ars if line.recipe in each.ars_recipes[:1] else None
            estimates = (
                line.accuracy,
                line.random,
                line.gain,
                line.hard,
                line.whole,
                line.recovery,
                line.lrs,
                ars,
            )
            marks = {id(line.whole): " †"} if line.whole_source else {}
            texts = [(_signed(e) if e is line.gain else shown(e)) + marks.get(id(e), "") for e in estimates]
            texts.insert(2, _interval(line.random_set) or ABSENT)
            fewer = str(line.random_networks) if line.random_networks != line.networks else ABSENT
            lines.append((each.name, line.recipe, str(line.networks), fewer, *texts, *_size(each)))
    return _without_empty(heads, lines)


def _examined(scores: Sequence[Score]) -> Table:
    heads = (
        *_KEYS,
        *("Best look *", "Random *", "Corrupted", "Random, corrupted", "PGD-10", "Random, PGD-10"),
        *SIZES,
    )
    lines = []
    for each in scores:
        for line in each.lines:
            looks = (line.best_look, line.random_best_look)
            robust = (line.corrupted, line.random_corrupted, line.attacked, line.random_attacked)
            texts = [shown(estimate) for estimate in (*looks, *robust)]
            lines.append((each.name, line.recipe, *texts, *_size(each)))
    return _without_empty(heads, lines)


def _size(score: Score) -> tuple[str, ...]:
    """Return the texts of `SIZES`."""
    size = score.pixel_bytes + score.label_bytes
    return f"{score.images_stored:,}", f"{score.images_trained_on:,}", f"{size:,}"


def _stored(scores: Sequence[Score]) -> Table:
    heads = ("Set", "File", "Digest", *SIZES, "Of pixels", "Of labels")
    lines = [
        (
            each.name,
            each.source or ABSENT,
            each.digest,
            *_size(each),
            f"{each.pixel_bytes:,}",
            f"{each.label_bytes:,}",
        )
        for each in scores
    ]
    return _without_empty(heads, lines)


def shown(estimate: Estimate | None) -> str:
    """Write a figure with its interval: ``71.3 [70.1, 72.5]``."""
    if estimate is None:
        return ABSENT
    return f"{estimate.value:.1f} {_interval(estimate)}".rstrip()


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{estimate.low:.1f}, {estimate.high:.1f}]"


def _signed(estimate: Estimate) -> str:
    return ("+" if round(estimate.value, 1) > 0 else "") + shown(estimate)


def _without_empty(heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> Table:
    """Leave out columns that are empty in every line."""
    kept = [i for i in range(len(heads)) if any(line[i] != ABSENT for line in lines)]
    return tuple(heads[i] for i in kept), [tuple(line[i] for i in kept) for line in lines]


def _aligned(table: Table) -> str:
    heads, lines = table
    widths = [max(len(line[i]) for line in (heads, *lines)) for i in range(len(heads))]
    return "\n".join(_line(line, widths) for line in (heads, *lines))


def _line(texts: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{text:<{width}}" for text, width in zip(texts, widths, strict=True)).rstrip()
