"""Cells: the pooled accuracy of all networks of one experiment, with the published number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from condensery.errors import CondenseryError
from condensery.reporting import agreement
from condensery.rows import STORAGE as STORED

KEYS = ("protocol", "dataset", "ipc", "method", "recipe", "condense_network", "evaluate_network")
"""The columns that identify a cell."""

NUMBERS = (
    "mean",
    "std",
    "std_between_sets",
    "std_between_networks",
    "published_mean",
    "published_std",
    "difference",
    "seconds",
)
"""The columns of cells that hold real numbers or NaN."""

COLUMNS = (
    *KEYS,
    "mean",
    "std",
    "std_between_sets",
    "std_between_networks",
    "sets",
    "networks",
    "n",
    "published_mean",
    "published_std",
    "difference",
    "source",
    "images_stored",
    "images",
    "bytes",
    "epochs",
    "device",
    "precision",
    "torch",
    "condensery",
    "commit",
    "seconds",
)
"""All columns of cells, in the order of the CSV file; ``images`` is the number of training images."""

STORAGE = ("images_stored", "bytes")
"""The columns of a set's storage, whole numbers or NA."""

NO_SIZES: Mapping[str, int] = {}

_PROVENANCE = ("device", "precision", "torch", "condensery", "commit")


def cells(rows: pd.DataFrame, published: pd.DataFrame, sizes: Mapping[str, int] = NO_SIZES) -> pd.DataFrame:
    """Aggregate rows over sets and networks.

    The papers print mean and population standard deviation over the pooled list of 5 sets x 20 networks
    (DM section 3.1, DSA section 4.1). The pooled variance is split into its two components: pooled =
    between sets + between networks, each set weighted by its number of networks, which is usually the same.

    Args:
        rows: rows as `rows.read_rows` returns them.
        published: numbers as the functions of reporting/published.py return them.
        sizes: name of the data set -> 8-bit values per image, for rows without columns of storage.

    Returns:
        One line per cell, sorted by `KEYS`, with `COLUMNS`. Accuracies and their deviations are in percent.
        ``bytes`` counts the stored pixels as 8-bit values and soft labels as float32; NA if the size of an
        image is unknown.
        ``std`` is NaN for one network, ``std_between_sets`` for one set, ``std_between_networks`` for one
        network per set. ``sets`` and ``networks`` are counts, the latter over all sets; ``n`` is sets x
        networks per set. The whole training set (ipc 0) is one set, whatever the seeds.
        A cell has the published value only if recipe and network are those of the publication;
        ``difference`` = mean - published mean. Several devices, precisions or versions are joined with
        " + "; ``seconds`` is the sum of training and test.

    Raises:
        CondenseryError: the rows of a cell differ in the number of images or epochs, or cannot be pooled
            (`agreement.check`).
    """
    lines = [
        dict(zip(KEYS, key, strict=True)) | _summary(key, group)
        for key, group in rows.groupby(list(KEYS), sort=True)
    ]
    frame = with_published(pd.DataFrame(lines), published)
    frame["difference"] = frame["mean"] - frame["published_mean"]
    return frame.merge(_stored(rows, sizes), on=list(KEYS), validate="one_to_one")[list(COLUMNS)]


def gains(frame: pd.DataFrame, baselines: Sequence[str]) -> pd.Series:
    """Return how far each cell is above random images, in percentage points.

    Args:
        frame: cells.
        baselines: the methods that select random images. At most one of them has the same numbers of stored
            and of training images as a cell, the same recipe and the same evaluation network.

    Returns:
        One value per cell, with its index; NaN for random images, and where none are comparable.
    """
    alike = ["protocol", "dataset", "ipc", "recipe", "evaluate_network", "images_stored", "images"]
    chosen = frame["method"].isin(baselines)
    means = frame[chosen][[*alike, "mean"]].rename(columns={"mean": "random"})
    beside = frame[alike].merge(means, on=alike, how="left", validate="many_to_one")["random"]
    return (frame["mean"] - beside.to_numpy()).mask(chosen)


def _stored(rows: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Return the storage of the sets of each cell, one line per cell, with `KEYS` and `STORAGE`.

    A row without the columns of `rows.STORAGE` belongs to a set with hard labels that stores every image.
    """
    given = rows.reindex(columns=STORED.names)
    stored = given["images_stored"].fillna(rows["images"])
    pixels = given["pixel_bytes"].fillna(stored * rows["dataset"].map(sizes))
    taken = rows[list(KEYS)].assign(images_stored=stored, bytes=pixels + given["label_bytes"].fillna(0))
    return (
        taken.groupby(list(KEYS), as_index=False)[list(STORAGE)]
        .first()
        .astype(dict.fromkeys(STORAGE, "Int64"))
    )


def _summary(key: tuple[str | int, ...], group: pd.DataFrame) -> dict[str, object]:
    cell = ", ".join(f"{part} {value}" for part, value in zip(KEYS, key, strict=True) if value != "")
    agreement.check(cell, group)
    for name in ("images", "epochs"):
        if group[name].nunique() > 1:
            values = " and ".join(str(value) for value in sorted(group[name].unique()))
            raise CondenseryError(
                f"{cell}: rows with {values} {name} in one cell; evaluate the older ones again"
            )
    whole = group["ipc"].iloc[0] == 0
    by_set = [group["accuracy"]] if whole else [part for _, part in group.groupby("set_seed")["accuracy"]]
    counts = [len(part) for part in by_set]
    summary: dict[str, object] = deviations([part.to_numpy() for part in by_set])
    summary |= {"sets": len(counts), "networks": sum(counts)}
    summary["n"] = str(counts[0]) if whole else run_counts(counts)
    summary |= {name: group[name].iloc[0] for name in ("images", "epochs")}
    summary |= {name: joined(group[name]) for name in _PROVENANCE}
    summary["seconds"] = math.fsum(group["train_seconds"]) + math.fsum(group["test_seconds"])
    return summary


def deviations(by_set: list[np.ndarray]) -> dict[str, object]:
    """Return mean and population standard deviation of pooled accuracies, and the two parts of the deviation.

    Args:
        by_set: per set, the accuracies of its networks, (networks,) in percent.

    Returns:
        ``mean``, ``std``, ``std_between_sets`` and ``std_between_networks`` in percentage points. The two
        parts are NaN for one set, or for one network per set.
    """
    pooled = np.concatenate(by_set)
    weights = [len(part) for part in by_set]
    means = np.array([part.mean() for part in by_set])
    between = math.sqrt(np.average((means - pooled.mean()) ** 2, weights=weights))
    within = math.sqrt(np.average([part.var() for part in by_set], weights=weights))
    return {
        "mean": pooled.mean(),
        "std": pooled.std() if len(pooled) > 1 else math.nan,
        "std_between_sets": between if len(by_set) > 1 else math.nan,
        "std_between_networks": within if max(weights) > 1 else math.nan,
    }


def run_counts(counts: list[int]) -> str:
    """Write the numbers of networks per set: 5 sets of 20 networks as 5x20, sets of 3 and 2 as 3+2."""
    return f"{len(counts)}x{counts[0]}" if len(set(counts)) == 1 else "+".join(str(count) for count in counts)


def joined(values: pd.Series) -> str:
    """Join the distinct texts of one column."""
    return " + ".join(sorted(values.unique()))


def with_published(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Add the columns ``published_mean``, ``published_std`` and ``source``.

    Args:
        measured: one line per cell, with dataset, ipc, method, recipe and both networks.
        published: see `cells`.

    Returns:
        The lines in their order. Numbers are NaN, and the source is "", where nothing is published with the
        recipe and the networks of the cell.
    """
    known = _condensed_on(published).rename(columns={"recipe": "published_recipe"})
    compared = _condensed_on(measured).merge(
        known.drop(columns="condense_network"),
        on=["dataset", "ipc", "method", "condensed_on", "evaluate_network"],
        how="left",
        validate="many_to_one",
    )
    comparable = compared["published_recipe"].isin([""]) | (
        compared["published_recipe"] == compared["recipe"]
    )
    for name in ("published_mean", "published_std"):
        compared[name] = compared[name].where(comparable)
    compared["source"] = compared["source"].where(comparable, "").fillna("")
    return compared


def _condensed_on(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the condensing network, or the evaluation network if no condensing network is named."""
    named = frame["condense_network"]
    return frame.assign(condensed_on=named.where(named != "", frame["evaluate_network"]))
