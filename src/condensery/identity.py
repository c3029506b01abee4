"""The inputs of a result: digests of data, sets and settings, and checks that they agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condensery.errors import CondenseryError

if TYPE_CHECKING:
    from condensery.synthetic import SyntheticSet

DIGITS = 16
_RECORDED = ("train", "seen_as")


def digest(value: Any) -> str:
    """Return a digest of a JSON-able value, 16 hexadecimal digits; "" for an empty value: unknown."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS] if value else ""


def set_columns(sets: Sequence[SyntheticSet]) -> dict[str, str]:
    """Return the columns of a row that identify the sets on which a network was trained.

    Returns:
        ``set``, a digest of the contents; ``set_name``, the name of the file; ``set_settings``, a digest of
        the settings without the seed; ``set_code``, the digest of the code that condensed the set, or its
        commit. "" if unknown.
    """
    provenances = [each.provenance for each in sets]
    codes = [provenance.get("versions", {}) for provenance in provenances]
    return {
        "set": _joined([each.digest() for each in sets]),
        "set_name": " ".join(Path(each.source).name for each in sets),
        "set_settings": _joined([digest(settings(each)) for each in provenances]),
        "set_code": " + ".join(sorted({c.get("code", c.get("commit", "")) for c in codes} - {""})),
    }


def settings(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a provenance: all entries except seed, part, data and versions."""
    aside = ("versions", "data", "shard", "snapshot", "validated")
    named = "experiment" in provenance
    known = {key: value for key, value in provenance.items() if key not in aside}
    if named and known.pop("imported", None) is not None:
        changed = {"relabeled": known["relabeled"]} if "relabeled" in known else {}
        return _without_seeds({"imported as": provenance["experiment"].get("method", "")} | changed)
    if "imported" in known:
        known["imported"] = {k: v for k, v in known["imported"].items() if k != "experiment"}
    return _without_seeds(known)


def check_data(what: str, provenance: Mapping[str, Any], content: Mapping[str, str]) -> None:
    """Check that a result was computed from the training images of a data set, if both have digests.

    Args:
        what: the name of the result, for the message.
        provenance: the provenance of the result.
        content: the digests of the data set, see `condensery.data.RealData`.

    Raises:
        CondenseryError: the result was computed from other images, or with another normalization.
    """
    recorded = provenance.get("data", {})
    known = [name for name in _RECORDED if recorded.get(name) and content.get(name)]
    for name in known:
        if recorded[name] != content[name]:
            differing = "training images" if name == "train" else "classes, shape or normalization"
            raise CondenseryError(
                f"{what}: made from other data than the prepared data ({differing} differ): make it "
                "again, or prepare the data that it was made from"
            )


def made_from(path: Path, prepared: Sequence[Path]) -> bool:
    """Say whether a set or a file of rows was computed from prepared data sets.

    Args:
        path: the file.
        prepared: the folders of the data sets, in the order of the sequence if there are several.

    Returns:
        True also for a file without digests of its data, by earlier code or of another kind. False for a file
        that cannot be read.
    """
    # They import PyTorch, which takes seconds: only where there is something to compare.
    from condensery import rows
    from condensery.data.storage import Description
    from condensery.files import provenance_of

    try:
        contents = [Description.read(folder).seen() for folder in prepared]
        if path.suffix == ".parquet":
            return rows.data_of(path) in ("", digest(contents if len(contents) > 1 else contents[0]))
        if path.suffix == ".safetensors":
            check_data(str(path), provenance_of(path), contents[0])
    except CondenseryError:
        return False
    return True


def first_difference(mine: Any, theirs: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return the first difference between two JSON-like values.

    An entry that only one of two mappings has counts as None in the other.

    Args:
        mine: a value.
        theirs: the value to compare with.
        path: the keys that lead to the values, joined by dots; "" at the top.

    Returns:
        The path of the first difference in the order of the keys, and the two values; None if they are equal.
    """
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in sorted({*mine, *theirs}):
            inner = first_difference(mine.get(key), theirs.get(key), f"{path}.{key}" if path else str(key))
            if inner:
                return inner
        return None
    return None if mine == theirs else (path, mine, theirs)


def same_making(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the first difference of two provenances, see `first_difference`; commits of equal code agree."""
    return first_difference(_by_code(one), _by_code(other), "provenance")


def _by_code(provenance: Mapping[str, Any]) -> dict[str, Any]:
    known = dict(provenance.get("versions", {}))
    if "code" in known:
        known.pop("commit", None)
    return {**provenance, "versions": known} if known else dict(provenance)


def _without_seeds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_seeds(inner) for key, inner in value.items() if key != "seed"}
    return value


def _joined(digests: Sequence[str]) -> str:
    return digests[0] if len(digests) == 1 else digest(list(digests) if any(digests) else [])
