"""Entries of the leaderboard: the rows of a scored set, with digests that anyone can compute again.

An entry is a folder with ``entry.json``, ``rows.parquet`` and, unless it is stored elsewhere,
``set.safetensors``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from condensery.data.storage import file_sha256
from condensery.errors import CondenseryError
from condensery.files import atomic
from condensery.identity import digest
from condensery.reporting.layout import ABSENT, SIZES
from condensery.rows import read_rows, write_rows
from condensery.scoring import cells, formulas
from condensery.scoring.formulas import Estimate
from condensery.scoring.report import shown
from condensery.synthetic import SyntheticSet

SCHEMA = "condensery-entry/1"
FILE, ROWS, SET = "entry.json", "rows.parquet", "set.safetensors"

Entry = dict[str, Any]
Row = dict[str, Any]


def make(score: Path, set_file: Path, folder: Path, *, reference: str, url: str = "") -> Entry:
    """Write the entry of a scored set.

    Args:
        score: the folder that ``condensery score --out`` wrote.
        set_file: the set (.safetensors).
        folder: the new folder of the entry.
        reference: an address where the method is described.
        url: the address where the set is stored; if empty, the set is copied into the entry.

    Returns:
        The entry, the content of ``entry.json``.

    Raises:
        CondenseryError: the score does not belong to the set, or the folder exists and is not empty.
    """
    synthetic = SyntheticSet.load(set_file)
    about = _scored(score / "score.json", synthetic)
    every = read_rows([score / ROWS], about["protocol"]).to_dict("records")
    own = [row for row in every if row["set"] == about["digest"] and row["method"] == about["name"]]
    recipes = {row["recipe"] for row in own}
    baselines = {line["whole_recipe"] for line in about["lines"]} - {""}
    random = cells.random_method(synthetic)
    ipc = own[0]["ipc"] if own else 0
    compared = [
        row for row in every if (row["method"], row["ipc"]) == (random, ipc) and row["recipe"] in recipes
    ]
    compared += [row for row in every if row["method"] == "whole" and row["recipe"] in baselines]
    kept = [_without_empty(row) for row in (*own, *(row for row in compared if row not in own))]
    entry = {
        "schema": SCHEMA,
        "method": about["name"],
        "random": random,
        "dataset": about["dataset"],
        "network": about["network"],
        "protocol": about["protocol"],
        "ipc": ipc,
        "reference": reference,
        "set": {"digest": about["digest"], "sha256": file_sha256(set_file), "url": url}
        | synthetic.storage()
        | {"images_trained_on": len(synthetic) * synthetic.formation**2},
        "rows": _digest_of(kept),
        "code": sorted({row["code"] for row in kept} - {""}),
        "whole": {line["recipe"]: line["whole_recipe"] for line in about["lines"]},
    }
    entry["figures"] = _figures(entry, kept)
    entry["digest"] = digest(entry)
    with atomic(folder, folder=True) as temporary:
        write_rows(kept, temporary / ROWS)
        if not url:
            shutil.copyfile(set_file, temporary / SET)
        text = json.dumps(entry, indent=1, sort_keys=True, ensure_ascii=False)
        (temporary / FILE).write_text(text + "\n", encoding="utf-8")
    return entry


def verify(folder: Path) -> Entry:
    """Read an entry, and compute every digest and figure in it again.

    Raises:
        CondenseryError: a file is missing, or a digest or a figure differs.
    """
    path = folder / FILE
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        if entry["schema"] != SCHEMA:
            raise CondenseryError(f"{path}: is not a {SCHEMA}: make it with condensery rows")
        if digest({key: value for key, value in entry.items() if key != "digest"}) != entry["digest"]:
            raise CondenseryError(f"{path}: was changed by hand: make it again with condensery rows")
        rows = [
            _without_empty(row) for row in read_rows([folder / ROWS], entry["protocol"]).to_dict("records")
        ]
        if _digest_of(rows) != entry["rows"]:
            raise CondenseryError(f"{folder / ROWS}: other rows than {FILE} states: make the entry again")
        own = [row for row in rows if row["method"] == entry["method"]]
        if {row["set"] for row in own} != {entry["set"]["digest"]}:
            raise CondenseryError(
                f"{folder / ROWS}: rows of {entry['method']} are of another set: score it again"
            )
        if len({row["data"] for row in rows} - {""}) > 1 or {row["dataset"] for row in rows} != {
            entry["dataset"]
        }:
            raise CondenseryError(f"{folder / ROWS}: holds rows of several data sets: score the set again")
        if _figures(entry, rows) != entry["figures"]:
            raise CondenseryError(f"{path}: its figures are not those of its rows: make it again")
        _check_set(folder / SET, entry)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CondenseryError(
            f"{path}: not a valid entry ({error!r:.100}): make it with condensery rows"
        ) from None
    return entry


def all_verified(folder: Path) -> list[Entry]:
    """Verify all entries below a folder, and return them by data set and size, the most accurate first.

    Raises:
        CondenseryError: the folder has no entry, or an entry is invalid, see `verify`.
    """
    folders = sorted(path.parent for path in folder.rglob(FILE))
    if not folders:
        raise CondenseryError(f"{folder}: holds no entries: make one with condensery rows")
    found = [verify(each) for each in folders]
    return sorted(found, key=lambda e: (e["dataset"], e["ipc"], -e["figures"][0]["accuracy"]["value"]))


def table(entries: Sequence[Entry]) -> str:
    """Return entries as a table in Markdown, one line per recipe."""
    heads = (
        *("Data set", "ipc", "Method", "Network", "Recipe", "n", "Accuracy", "Random", "IOR", "HLR", "LRS"),
        *(*SIZES, "Set"),
    )
    lines: list[tuple[str, ...]] = [heads, tuple("---" for _ in heads)]
    for entry in entries:
        of_set = entry["set"]
        sizes = (
            *(of_set["images_stored"], of_set["images_trained_on"]),
            of_set["pixel_bytes"] + of_set["label_bytes"],
        )
        named = f"[{entry['method']}]({entry['reference']})"
        for each in entry["figures"]:
            figures = [_shown(each.get(name)) for name in ("accuracy", "random", "gain", "recovery", "lrs")]
            coordinates = (entry["dataset"], str(entry["ipc"]), named, entry["network"], each["recipe"])
            lines.append(
                (
                    *(*coordinates, str(each["networks"]), *figures),
                    *(f"{size:,}" for size in sizes),
                    f"`{of_set['digest']}`",
                )
            )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _scored(path: Path, synthetic: SyntheticSet) -> Mapping[str, Any]:
    """Return the part of a score that belongs to the set."""
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))["sets"]
        return next(each for each in sets if each["digest"] == synthetic.digest())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CondenseryError(
            f"{path}: not a score ({error!r:.100}): give a folder of condensery score"
        ) from None
    except StopIteration:
        raise CondenseryError(f"{path}: is not a score of {synthetic.source}: score that set") from None


def _figures(entry: Mapping[str, Any], rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the figures of each recipe, from the rows."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        group = found.setdefault((row["method"], row["recipe"]), [])
        group.append((row["network_seed"], row["accuracy"]))
    of = {key: [accuracy for _, accuracy in sorted(group)] for key, group in found.items()}
    figures = []
    for recipe, whole in entry["whole"].items():
        own, random = of[entry["method"], recipe], of[entry["random"], recipe]
        one: dict[str, Any] = {"recipe": recipe, "networks": len(own)}
        estimates = {
            "accuracy": formulas.accuracy(own),
            "random": formulas.accuracy(random),
            "gain": formulas.gain(own, random),
        }
        # HLR and LRS of a set with soft labels need networks trained with hard labels, which are not in its
        # rows.
        if whole and not entry["set"]["label_bytes"]:
            of_whole = of["whole", whole]
            estimates["recovery"] = formulas.recovery(of_whole, own)
            estimates["lrs"] = formulas.label_robust(own, own, random, of_whole)
        figures.append(one | {name: _rounded(estimate) for name, estimate in estimates.items()})
    return figures


def _check_set(path: Path, entry: Mapping[str, Any]) -> None:
    if entry["set"]["url"]:
        return
    if file_sha256(path) != entry["set"]["sha256"]:
        raise CondenseryError(f"{path}: its SHA-256 is not that of {FILE}: put the scored set there")
    if SyntheticSet.load(path).digest() != entry["set"]["digest"]:
        raise CondenseryError(f"{path}: its digest is not that of {FILE}: put the scored set there")


def _rounded(estimate: Estimate) -> dict[str, float | None]:
    """Return a figure rounded to six decimals: the last digits differ between versions of SciPy."""
    return {name: None if end is None else round(end, 6) for name, end in asdict(estimate).items()}


def _shown(figure: Mapping[str, Any] | None) -> str:
    return shown(Estimate(**figure)) if figure else ABSENT


def _digest_of(rows: Sequence[Row]) -> str:
    return digest(sorted(json.dumps(row, sort_keys=True) for row in rows))


def _without_empty(row: Row) -> Row:
    """Return a row as plain values, without the optional columns that it does not have."""
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
    return {name: value for name, value in plain.items() if value is not None and value == value}
