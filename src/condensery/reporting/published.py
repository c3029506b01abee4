"""The numbers that the papers print, for comparison with measured ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment.catalog import RELATIVE_TABLE, of_kind
from condensery.experiment.groups import ALL, BINS, RANDOM
from condensery.experiment.target_kinds import Accuracies, ClassesInSteps, SearchTable
from condensery.experiment.targets import WHOLE

_COSTS = dict.fromkeys(("dataset", "ipc", "method", "network", "hardware"), str) | {
    "minutes": float,
    "source": str,
}
_REPORTED = dict.fromkeys(("dataset", "ipc", "method", "accuracy", "source"), str)
_COLUMNS = ("dataset", "ipc", "method", "accuracy_mean", "accuracy_std", "source")
CELL = (
    *("dataset", "ipc", "method", "recipe", "condense_network", "evaluate_network"),
    *("published_mean", "published_std", "source"),
)
"""The columns of published cells."""

# The coresets were evaluated with the recipe of the DC paper, DD with its learned steps, and LD without
# augmentation. The papers do not state how networks were trained on whole sets: no entry, any recipe matches.
_RECIPES = {
    "random": "dc",
    "herding": "dc",
    "forgetting": "dc",
    "kcenter": "dc",
    "dd": "learned",
    "ld": "plain",
    "dc": "dc",
    "dsa": "dsa",
    "dm": "dsa",
    "dcc": "dc",
    "dsac": "dsa",
    "idc-i": "idc",
    "idc": "idc",
    "datadam": "dsa",
    "m3d": "dance",
    "idm": "dsa",
    "dance": "dance",
    "ncfm": "ncfm",
    "mtt": "mtt",
    "frepo": "frepo",
    "kip": "ridge",
    "gtn": "learned",
}
_DATASETS = ("mnist", "fashionmnist", "svhn", "cifar10", "cifar100", "tinyimagenet", "imagenet1k")
"""The data sets in the order of the papers: DSA Table 1, then those that DM Table 1 and section 3.2 add."""

# DM section 3.1: one more block for 64-pixel images; DM Table 1: other networks for DD and LD.
_NETWORKS = {"tinyimagenet": "convnet-d4", "imagenet1k": "convnet-d4"}
_NETWORKS_OF_DD_AND_LD = {"mnist": "lenet", "cifar10": "alexnet", "cifar100": "alexnet"}

_NORMS = {"instancenorm": "", "batchnorm": "-bn"}
# DM Table 4: group of networks -> methods whose networks are of that group.
_GROUPS = {group: [f"dm-pool-{group}"] for group in BINS} | {
    RANDOM: ["dm", "dm-pool-random"],
    "70+": ["dm-pool-70-100"],
    ALL: ["dm-pool"],
}
_SEARCH_IPC = 50  # DM Table 5
# DM Table 3: the ResNet-18 on which sets are condensed has average pooling instead of strides.
_CONDENSING = {"resnet18": "resnet18ap"}


def table(name: str, folder: Path) -> pd.DataFrame:
    """Read a file of accuracies.

    ``table1`` has the numbers of DM Table 1, DSA Table 1, DM section 3.2 and DM's larger sets; ``methods``
    has those of later papers, and for it the former are read as well; each other file has one table of DM.

    Args:
        name: name of the file, without ``.csv``.
        folder: the folder of the published numbers.

    Returns:
        One line per published cell, in the order of the file: dataset, ipc (0 for the whole set), method,
        recipe ("" if the papers do not state it), condense_network ("" if it equals the next),
        evaluate_network, published_mean and published_std in percent (std NaN if none is printed), source.

    Raises:
        CondenseryError: the file is absent, or has other columns, a repetition or an empty mean.
    """
    return _READERS.get(name, _on_own_networks)(folder / f"{name}.csv")


def _on_own_networks(path: Path) -> pd.DataFrame:
    """Read a table that names no network: each set is evaluated on its condensing network.

    FRePo is the exception: its network has batch norm when it condenses, and no norm when it is evaluated.
    """
    frame = _read(path)
    frame["evaluate_network"] = [
        _network(dataset, method) for dataset, method in zip(frame["dataset"], frame["method"], strict=True)
    ]
    frame["condense_network"] = ["frepo-bn" if method == "frepo" else "" for method in frame["method"]]
    return frame[list(CELL)]


def _with_norms(path: Path) -> pd.DataFrame:
    """Read DM Table 2: each set is evaluated on the network that it was condensed on."""
    frame = _read(path, ("normalization",))
    networks = pd.Series([_NETWORKS.get(dataset, "convnet") for dataset in frame["dataset"]])
    frame["condense_network"] = frame["evaluate_network"] = networks + frame["normalization"].map(_NORMS)
    return frame[list(CELL)]


def _between_networks(path: Path) -> pd.DataFrame:
    """Read DM Table 3."""
    names = ("condense_network", "evaluate_network", "normalization")
    frame = _read(path, names)
    norms = frame["normalization"].map(_NORMS)
    frame["condense_network"] = frame["condense_network"].replace(_CONDENSING) + norms
    frame["evaluate_network"] = frame["evaluate_network"] + norms
    return frame[list(CELL)]


def _by_group(path: Path) -> pd.DataFrame:
    """Read DM Table 4: one method per group of networks, and the group as an additional column."""
    frame = _read(path, ("network_accuracy_group",), deviations=False)
    frame["method"] = frame["network_accuracy_group"].map(_GROUPS)
    frame["condense_network"] = frame["evaluate_network"] = "convnet"
    return frame.explode("method", ignore_index=True)[[*CELL, "network_accuracy_group"]]


def _after_dm(path: Path) -> pd.DataFrame:
    """Read the accuracies of later methods, and those of Table 1 that are compared with them."""
    return pd.concat([_on_own_networks(path.with_name("table1.csv")), _on_own_networks(path)])


def _of_b3(path: Path) -> pd.DataFrame:
    """Read the accuracies discussed in DM appendix B.3, and those of DM and KIP from other files."""
    others = pd.concat([_on_own_networks(path.with_name(f"{name}.csv")) for name in ("table1", "methods")])
    return pd.concat([others[others["method"].isin(("dm", "kip"))], _on_own_networks(path)])


_READERS = {
    "table_b3": _of_b3,
    "methods": _after_dm,
    "table2_normalization": _with_norms,
    "table3_cross_architecture": _between_networks,
    "table4_network_distribution": _by_group,
}
"""Files that name the networks of their cells, or contain a part of a table, and their readers."""


def accuracies(folder: Path) -> pd.DataFrame:
    """Return the published accuracies of all tables whose lines are cells, without repetition.

    Args:
        folder: the folder of the published numbers.

    Returns:
        A frame as `table` returns it.

    Raises:
        CondenseryError: see `table`.
    """
    files = dict.fromkeys(target.published for target in of_kind(Accuracies).values())
    frame = pd.concat([table(name, folder) for name in files])
    condensed_on = frame["condense_network"].where(frame["condense_network"] != "", frame["evaluate_network"])
    names = ["dataset", "ipc", "method", "condensed_on", "evaluate_network"]
    again = frame.assign(condensed_on=condensed_on).duplicated(names)
    return frame[~again].reset_index(drop=True)


def whole(dataset: str, network: str, folder: Path) -> list[tuple[float, str]]:
    """Return the published accuracies of a network that was trained on a whole training set.

    Args:
        dataset: name of the data set.
        network: canonical name of the network.
        folder: the folder of the published numbers.

    Returns:
        Pairs of mean accuracy in percent and source; empty if none is published.

    Raises:
        CondenseryError: a file is absent, or has other columns.
    """
    frame = table("table1", folder)
    chosen = (frame["dataset"] == dataset) & (frame["method"] == WHOLE) & (frame["ipc"] == 0)
    found = frame[chosen & (frame["evaluate_network"] == network)]
    return list(zip(found["published_mean"], found["source"], strict=True))


ACCURACY, RELATIVE, CORRELATION = "accuracy", "relative accuracy", "rank correlation"
"""The quantities of `numbers`."""

SEARCH = (
    *("proxy", "selected_network_accuracy", "rank_correlation_top5pct"),
    *("time_minutes", "stored_images", "source"),
)
"""The columns of `search`."""

NUMBER = ("table", "quantity", "steps", *CELL)
"""The columns of `numbers`."""


def numbers(folder: Path) -> pd.DataFrame:
    """Read every accuracy and rank correlation that the papers print; later papers are left out.

    Returns:
        One line per printed number with `NUMBER`, so that a cell in two tables occurs twice; the numbers of a
        table are in the papers' order of data sets. ``table`` is the target that measures the number, or the
        first of several; for relative accuracies the target that shows them. ``quantity`` is `ACCURACY` in
        percent, `RELATIVE` in percent of the accuracy on the whole set, or `CORRELATION`, from -1 to 1.
        ``steps`` is the number of steps of continual learning, and the accuracy is that after the last step;
        0 elsewhere. For architecture search, ``method`` is the proxy and ``evaluate_network`` is "".

    Raises:
        CondenseryError: a file is absent, or has other columns.
    """
    first: dict[str, str] = {}
    for name, target in of_kind(Accuracies).items():
        if target.reproduced:
            first.setdefault(target.published, name)
    frames = []
    for file, name in first.items():
        found = table(file, folder).assign(table=name)
        if "network_accuracy_group" in found:
            # Two methods correspond to one group of networks, for which one number is printed.
            found = found.drop_duplicates(["dataset", "ipc", "network_accuracy_group"])
        frames.append(found)
    learned = continual(folder)
    by_steps = {target.steps: name for name, target in of_kind(ClassesInSteps).items()}
    learned["table"] = learned["steps"].map(by_steps)
    learned["evaluate_network"] = learned["dataset"].map(lambda name: _NETWORKS.get(name, "convnet"))
    frame = pd.concat([*frames, learned], ignore_index=True)
    frame["quantity"] = ACCURACY
    frame = pd.concat([frame, _relative(folder), _of_search(folder)], ignore_index=True)
    texts = ("recipe", "condense_network", "evaluate_network")
    frame = frame.fillna({"steps": 0} | dict.fromkeys(texts, "")).astype({"steps": int, "ipc": int})
    tables = list(dict.fromkeys(frame["table"]))
    datasets = [*_DATASETS, *frame["dataset"]]
    order = [
        (tables.index(t), datasets.index(d)) for t, d in zip(frame["table"], frame["dataset"], strict=True)
    ]
    return frame.iloc[sorted(range(len(frame)), key=order.__getitem__)][list(NUMBER)].reset_index(drop=True)


def _relative(folder: Path) -> pd.DataFrame:
    """Read relative.csv, as `numbers` returns it."""
    path = folder / "relative.csv"
    columns = ["dataset", "ipc", "method", "relative_accuracy", "source"]
    try:
        frame = pd.read_csv(path)
    except (FileNotFoundError, ValueError) as error:
        raise CondenseryError(f"{path}: cannot be read; give the folder of the published numbers") from error
    if list(frame.columns) != columns:
        raise CondenseryError(f"{path}: columns must be {', '.join(columns)}")
    frame = frame.rename(columns={"relative_accuracy": "published_mean"})
    return frame.assign(
        table=RELATIVE_TABLE,
        quantity=RELATIVE,
        published_std=math.nan,
        recipe=frame["method"].map(_RECIPES),
        evaluate_network=frame["dataset"].map(lambda name: _NETWORKS.get(name, "convnet")),
    )


def search(folder: Path) -> pd.DataFrame:
    """Read table5_nas.csv: DM Table 5, one line per proxy, with the columns of the file.

    Raises:
        CondenseryError: the file is absent, or has other columns.
    """
    path = folder / "table5_nas.csv"
    try:
        return pd.read_csv(path)[list(SEARCH)]
    except FileNotFoundError as error:
        raise CondenseryError(f"{path}: not there; give the folder of the published numbers") from error
    except (ValueError, KeyError) as error:
        raise CondenseryError(f"{path}: cannot be read as Table 5: {error}") from error


def _of_search(folder: Path) -> pd.DataFrame:
    """Return the accuracies and rank correlations of DM Table 5, as `numbers` returns them."""
    frame = search(folder)
    values = {
        ACCURACY: frame["selected_network_accuracy"],
        # The correlation of the whole set with itself is always 1.
        CORRELATION: frame["rank_correlation_top5pct"].where(frame["proxy"] != "whole"),
    }
    lines = [
        frame[["proxy", "source"]].assign(quantity=quantity, published_mean=mean)
        for quantity, mean in values.items()
    ]
    found = pd.concat(lines, ignore_index=True).rename(columns={"proxy": "method"})
    (name,) = of_kind(SearchTable)
    found = found.assign(table=name, dataset="cifar10", ipc=_SEARCH_IPC, published_std=math.nan)
    found.loc[found["method"].isin(("whole", "early_stopping")), "ipc"] = 0
    return found.dropna(subset="published_mean")


def costs(folder: Path) -> pd.DataFrame:
    """Read cost.csv, the published times of condensing.

    Returns:
        One line per published time: dataset, ipc (a text, since one time may cover several), method,
        network, hardware, minutes, source.

    Raises:
        CondenseryError: the file is absent or has other columns.
    """
    return _lines(folder / "cost.csv", _COSTS)


def reported(folder: Path) -> pd.DataFrame:
    """Read reported.csv, the accuracies that users of the authors' public code report where they differ.

    Returns:
        One line per cell: dataset, ipc (a text), method, accuracy (a text such as ``55 to 57``), source.

    Raises:
        CondenseryError: the file is absent or has other columns.
    """
    return _lines(folder / "reported.csv", _REPORTED)


def _lines(path: Path, types: Mapping[str, type]) -> pd.DataFrame:
    """Read a file with the columns ``types``."""
    try:
        frame = pd.read_csv(path, dtype=types)
    except FileNotFoundError as error:
        raise CondenseryError(f"{path}: absent; give the folder of the published numbers") from error
    except ValueError as error:
        raise CondenseryError(f"{path}: cannot be read as a table: {error}") from error
    if list(frame.columns) != list(types):
        raise CondenseryError(f"{path}: columns must be {', '.join(types)}")
    return frame


def _read(path: Path, more: tuple[str, ...] = (), *, deviations: bool = True) -> pd.DataFrame:
    """Read a file of accuracies: its columns are `_COLUMNS` and ``more``, which also identify cells.

    Without ``deviations`` the file has no column of deviations, because the paper prints none.
    """
    try:
        frame = pd.read_csv(path, dtype={"dataset": str, "ipc": "Int64", "method": str, "source": str})
    except FileNotFoundError as error:
        raise CondenseryError(f"{path}: absent; give the folder of the published numbers") from error
    except ValueError as error:
        raise CondenseryError(f"{path}: cannot be read as a table: {error}") from error
    columns = [name for name in (*_COLUMNS, *more) if deviations or name != "accuracy_std"]
    if sorted(frame.columns) != sorted(columns):
        raise CondenseryError(f"{path}: columns must be {', '.join(columns)}")
    if not deviations:
        frame["accuracy_std"] = math.nan
    frame["ipc"] = frame["ipc"].fillna(0).astype("int64")
    frame = frame.rename(columns={"accuracy_mean": "published_mean", "accuracy_std": "published_std"})
    if frame["published_mean"].isna().any():
        raise CondenseryError(f"{path}: a line has no accuracy_mean; leave out what is not published")
    again = frame[frame.duplicated(["dataset", "ipc", "method", *more])]
    if len(again):
        dataset, ipc, *names = again.iloc[0][["dataset", "ipc", "method", *more]]
        raise CondenseryError(f"{path}: {dataset}, ipc {ipc}, {', '.join(names)} comes twice; keep one line")
    frame["recipe"] = [_RECIPES.get(method, "") for method in frame["method"]]
    return frame


def _network(dataset: str, method: str) -> str:
    network = "frepo" if method == "frepo" else _NETWORKS.get(dataset, "convnet")
    return _NETWORKS_OF_DD_AND_LD.get(dataset, network) if method in ("dd", "ld") else network


def continual(folder: Path) -> pd.DataFrame:
    """Read continual.csv: the accuracies after the last step of DM section 3.5.

    Returns:
        One line per published number: dataset, ipc, steps, method, published_mean in percent, source.

    Raises:
        CondenseryError: the file is absent or has other columns.
    """
    path = folder / "continual.csv"
    columns = ["dataset", "ipc", "steps", "method", "final_accuracy_mean", "source"]
    try:
        frame = pd.read_csv(path)
    except (FileNotFoundError, ValueError) as error:
        raise CondenseryError(f"{path}: cannot be read; give the folder of the published numbers") from error
    if list(frame.columns) != columns:
        raise CondenseryError(f"{path}: columns must be {', '.join(columns)}")
    return frame.rename(columns={"final_accuracy_mean": "published_mean"})
