"""What a result was made from: digests of data, sets and settings, and the checks that they agree."""

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
    """Return a digest of a JSON-able value, 16 hexadecimal digits; "" of an empty one, which says nothing."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS] if value else ""


def set_columns(sets: Sequence[SyntheticSet]) -> dict[str, str]:
    """Return the columns of a row that say which sets a network was trained on.

    Returns:
        ``set``, a digest of the contents; ``set_name``, the file; ``set_settings``, a digest of how it was
        made but for its seed; ``set_code``, the code that made it, or its commit. Empty where not known.
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
    """Return the settings in a provenance: all of it except seed, part, data and versions."""
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
    """Check that a result was made from the training images of a data set, if both record which.

    Args:
        what: its name, for the message.
        provenance: of the thing.
        content: of the data set, see `condensery.data.RealData`.

    Raises:
        CondenseryError: it was made from other images, or with another normalization.
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
    """Say whether a set or a file of rows was made from prepared data sets.

    Args:
        path: the file.
        prepared: the folders of the data sets; those of a sequence in its order.

    Returns:
        True also for a file that does not record its data: one of earlier code, or of another kind. False for
        one that cannot be read.
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
    """Return where two JSON-like values differ first, and the two values there; None where they are equal.

    An entry that one of two mappings lacks counts as None.
    """
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in sorted({*mine, *theirs}):
            inner = first_difference(mine.get(key), theirs.get(key), f"{path}.{key}" if path else str(key))
            if inner:
                return inner
        return None
    return None if mine == theirs else (path, mine, theirs)


def same_making(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Return where two provenances differ first, as `first_difference`; commits of equal code do not."""
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
