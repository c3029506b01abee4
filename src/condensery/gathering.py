"""Join the parts of a synthetic set, which separate jobs condensed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from condensery import identity
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet

SHARD = "shard"
"""The provenance entry that only a part of a set has, and that `gather` drops."""


def gather(sets: Sequence[SyntheticSet]) -> SyntheticSet:
    """Join sets of different classes into one, ordered by class; a complete set is returned unchanged.

    The joined parts of one experiment equal the set that a single job condenses, byte for byte when saved.

    Raises:
        CondenseryError: the parts come from different experiments, or a class is missing or comes twice.
    """
    if not sets:
        raise CondenseryError("no parts to gather; give the file of each part")
    first = sets[0]
    if len(sets) == 1 and SHARD not in first.provenance:
        return first  # complete; its order may matter: dd orders images by the step that uses them
    owner: dict[int, SyntheticSet] = {}
    for part in sets:
        _check_same_experiment(first, part)
        for index in part.class_indices.unique().tolist():
            if index in owner:
                raise CondenseryError(
                    f"{part.source}: class {index} is also in {owner[index].source}; give each part once"
                )
            owner[index] = part
    missing = sorted(set(range(len(first.classes))) - set(owner))
    if missing:
        listed = ", ".join(str(index) for index in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise CondenseryError(f"{first.source}: no part holds class {listed}; give the parts of all classes")
    order = torch.cat([part.class_indices for part in sets]).argsort(stable=True)
    return SyntheticSet(
        torch.cat([part.images for part in sets])[order],
        torch.cat([part.labels for part in sets])[order],
        first.classes,
        first.mean,
        first.std,
        _common_provenance(first),
        first.learning_rate,
        first.formation,
        first.whitening,
        first.momentum,
    )


def _check_same_experiment(first: SyntheticSet, part: SyntheticSet) -> None:
    def parts(each: SyntheticSet) -> dict[str, Any]:
        rate = each.learning_rate
        return {
            "classes": list(each.classes),
            "mean": list(each.mean),
            "std": list(each.std),
            "image shape": list(each.images.shape[1:]),
            "kind of label": "hard" if each.labels.ndim == 1 else "soft",
            "learning rate": rate.tolist() if isinstance(rate, Tensor) else rate,
            "formation": each.formation,
            "whitening": each.whitening,
            "momentum": None if each.momentum is None else each.momentum.tolist(),
        }

    difference = identity.first_difference(parts(first), parts(part))
    difference = difference or identity.same_making(_common_provenance(first), _common_provenance(part))
    if difference:
        key, mine, theirs = difference
        raise CondenseryError(
            f"{part.source}: {key} is {theirs!r}, but {mine!r} in {first.source}; "
            "gather parts of one experiment only"
        )


def _common_provenance(part: SyntheticSet) -> dict[str, Any]:
    return {key: value for key, value in part.provenance.items() if key != SHARD}
