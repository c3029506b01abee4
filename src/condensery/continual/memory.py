"""The memory: a few images of every class seen so far, real or synthetic, in place of its training images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet


def remember(sets: Sequence[SyntheticSet], classes: Sequence[int], ipc: int) -> SyntheticSet:
    """Return the memory of some classes: their images from all sets, ordered by class.

    Args:
        sets: sets of one data set; images of other classes are left out.
        classes: the classes seen so far.
        ipc: the budget, in images per class.

    Raises:
        CondenseryError: a class has more or fewer images than the budget, its labels are soft, or the sets
            are not of one formation.
    """
    labels = torch.cat([each.labels for each in sets])
    if labels.ndim != 1:
        raise CondenseryError(f"{sets[0].source}: a memory holds hard labels; give a set that has them")
    for c in classes:
        found = int((labels == c).sum())
        if found != ipc:
            raise CondenseryError(
                f"{', '.join(each.source for each in sets)}: {found} images of class {c}, but the memory "
                f"holds {ipc} per class; give the sets of this experiment"
            )
    chosen = torch.isin(labels, torch.tensor(classes)).nonzero().flatten()
    order = chosen[labels[chosen].argsort(stable=True)]
    first = sets[0]
    for each in sets:
        if each.formation != first.formation:
            raise CondenseryError(
                f"{each.source}: formation {each.formation}, but {first.source} has {first.formation}; give "
                "sets of one formation"
            )
    images = torch.cat([each.images for each in sets])[order]
    return SyntheticSet(
        images,
        labels[order],
        first.classes,
        first.mean,
        first.std,
        formation=first.formation,
        whitening=first.whitening,
    )


def size(memory: Sequence[SyntheticSet]) -> dict[str, int]:
    """Return the size of a memory.

    Returns:
        ``memory_images``; ``memory_bytes``, their pixels as stored, float32; ``memory_bytes_8bit``, the same
        with one byte per value, which is enough for real images.
    """
    values = sum(each.images.numel() for each in memory)
    return {
        "memory_images": sum(map(len, memory)),
        "memory_bytes": 4 * values,
        "memory_bytes_8bit": values,
    }
