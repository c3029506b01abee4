"""Every published number with the measured one and a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from condensery.errors import CondenseryError
from condensery.experiment import Config
from condensery.experiment.catalog import TARGETS
from condensery.experiment.comparable import cell_differences, search_differences
from condensery.experiment.target_kinds import SearchTable
from condensery.experiment.targets import WHOLE
from condensery.reporting import cells, continual_cells, published, search_cells
from condensery.reporting.labels import Labels
from condensery.rows import EVALUATION, MEMORY, SEARCH, SNAPSHOT, read_rows, row_files
from condensery.search import ranking

WITHIN, OUTSIDE = "within", "outside"
NOT_COMPARABLE, NOT_MEASURED = "not comparable", "not measured"
VERDICTS = (WITHIN, OUTSIDE, NOT_COMPARABLE, NOT_MEASURED)
"""The verdicts on a published number."""

DEVIATIONS = 2.0
"""The largest difference, in combined standard deviations, with the verdict within."""

COLUMNS = (
    *("source", "table", "quantity", "steps", "dataset", "method", "ipc"),
    *("condense_network", "network", "recipe", "published", "published_std"),
    *("measured", "spread", "spread_of", "sets", "networks", "protocol", "precision", "verdict", "reason"),
)
"""The columns of the CSV file."""

_KEY = ("quantity", "steps", "dataset", "method", "ipc", "condensed_on", "evaluate_network")


def measured(folder: Path, config: Config, known: Path) -> pd.DataFrame:
    """Return the measured numbers of one protocol.

    Args:
        folder: the results of the protocol: accuracy/, the last snapshots in trajectory_accuracy/,
            continual/ and search/.
        config: the configuration of the protocol.
        known: the folder of the published numbers.

    Returns:
        One line per number, with `_KEY`, recipe, measured, spread, spread_of, sets, networks, protocol,
        precision, used, which is what the rows state (see `comparable.cell_differences`), and used_whole, the
        same of the whole set, for relative accuracies. Accuracies are in percent. ``spread`` is the standard
        deviation of the means of sets (``spread_of`` is "sets") or, if there is one set, of its networks
        ("networks"), both with divisor n - 1; NaN for one network. In continual learning, orders of classes
        take the place of sets.

    Raises:
        CondenseryError: a row file cannot be read, or its rows do not agree.
    """
    accuracies = list(_accuracies(folder, config))
    parts = [
        *accuracies,
        *map(_relative, accuracies),
        *_snapshots(folder, config),
        *_continual(folder, config),
        *_search(folder, config, known),
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*_KEY, "recipe"])


def verdicts(
    numbers: pd.DataFrame, found: Mapping[str, pd.DataFrame], configs: Mapping[str, Config], paper: Config
) -> pd.DataFrame:
    """Compare every published number with the measured one.

    If several measured numbers correspond to one published number, those that differ from the papers'
    protocol in fewer values are preferred, then those with more networks, then the recipe that the method's
    entry lists first.

    Args:
        numbers: published numbers as `published.numbers` returns them.
        found: protocol -> the frame that `measured` returns.
        configs: protocol -> its configuration.
        paper: the configuration of the papers' protocol.

    Returns:
        One line per published number, in their order, with `COLUMNS`. The verdict is "within" if the measured
        number differs by at most `DEVIATIONS` combined standard deviations, the root of the summed squares of
        the spread and the published deviation; one of them may be missing. ``reason`` states why a number is
        not comparable.
    """
    lines = [_line(number, found, configs, paper) for number in numbers.to_dict("records")]
    return pd.DataFrame(lines)[list(COLUMNS)]


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """Return the number of published numbers per verdict."""
    return {verdict: int((frame["verdict"] == verdict).sum()) for verdict in VERDICTS}


def sentence(frame: pd.DataFrame) -> str:
    """Return a sentence with the counts of all verdicts."""
    count = counts(frame)
    comparable = count[WITHIN] + count[OUTSIDE]
    return (
        f"{comparable} of {len(frame)} published numbers measured with the papers' steps and epochs: "
        f"{count[WITHIN]} within {DEVIATIONS:g} combined standard deviations, {count[OUTSIDE]} outside. "
        f"{count[NOT_COMPARABLE]} measured under a shortened protocol, {count[NOT_MEASURED]} not measured."
    )


def _line(
    number: dict[str, Any],
    found: Mapping[str, pd.DataFrame],
    configs: Mapping[str, Config],
    paper: Config,
) -> dict[str, Any]:
    number["condensed_on"] = number["condense_network"] or number["evaluate_network"]
    candidates = [
        (_reasons(number, line, configs[protocol], paper), line)
        for protocol, frame in found.items()
        for line in _matching(number, frame)
    ]
    common = {
        **{name: number[name] for name in ("source", "table", "quantity", "steps", "dataset", "method")},
        **{name: number[name] for name in ("ipc", "condense_network", "recipe", "published_std")},
        "network": number["evaluate_network"],
        "published": number["published_mean"],
    }
    nothing = {"measured": math.nan, "spread": math.nan, "spread_of": "", "sets": 0, "networks": 0}
    if not candidates:
        texts = {"protocol": "", "precision": "", "verdict": NOT_MEASURED, "reason": ""}
        return common | nothing | texts

    def rank(candidate: tuple[list[str], dict[str, Any]]) -> tuple[int, int, int]:
        reasons, line = candidate
        return len(reasons), -line["networks"], _recipe_rank(line, configs[line["protocol"]])

    reasons, line = min(candidates, key=rank)
    taken = {name: line[name] for name in (*nothing, "protocol", "precision", "recipe")}
    return common | taken | _verdict(number, line, reasons)


def _verdict(number: Mapping[str, Any], line: Mapping[str, Any], reasons: list[str]) -> dict[str, str]:
    if reasons:
        return {"verdict": NOT_COMPARABLE, "reason": "; ".join(reasons)}
    spreads = [s for s in (line["spread"], number["published_std"]) if not math.isnan(s)]
    if not spreads:
        return {"verdict": NOT_COMPARABLE, "reason": "neither number has a deviation"}
    near = abs(line["measured"] - number["published_mean"]) <= DEVIATIONS * math.hypot(*spreads)
    return {"verdict": WITHIN if near else OUTSIDE, "reason": ""}


def _matching(number: Mapping[str, Any], frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    same = (frame[list(_KEY)] == [number[name] for name in _KEY]).all(axis=1)
    if number["recipe"]:
        same &= frame["recipe"] == number["recipe"]
    yield from frame[same].to_dict("records")


def _reasons(number: Mapping[str, Any], line: Mapping[str, Any], config: Config, paper: Config) -> list[str]:
    """Return the reasons why a measured number is not comparable with a published one."""
    if isinstance(TARGETS[number["table"]], SearchTable):
        return search_differences(config, paper)
    cell = {**number, "recipe": line["recipe"]}
    try:
        reasons = cell_differences(config, paper, cell, line["used"])
        if number["quantity"] == published.RELATIVE:
            cell |= {"method": WHOLE, "ipc": 0, "recipe": WHOLE}
            whole = cell_differences(config, paper, cell, line["used_whole"])
            reasons += [f"whole set's {reason}" for reason in whole]
        return reasons
    except CondenseryError as error:  # a configuration that no longer knows one of the names
        return [str(error)]


def _recipe_rank(line: Mapping[str, Any], config: Config) -> int:
    entry = config.methods.get(line["method"], {})
    recipes = list(entry.get("recipes", ()))
    return recipes.index(line["recipe"]) if line["recipe"] in recipes else len(recipes)


def _accuracies(folder: Path, config: Config) -> Iterator[pd.DataFrame]:
    rows = _rows(folder / "accuracy", config.protocol, EVALUATION)
    if rows is not None:
        yield _of_cells(rows)


def _snapshots(folder: Path, config: Config) -> Iterator[pd.DataFrame]:
    """Return the accuracies of the last snapshots; their iterations are those of the snapshot."""
    rows = _rows(folder / "trajectory_accuracy", config.protocol, SNAPSHOT)
    if rows is None:
        return
    last = rows.groupby(list(cells.KEYS))["step"].transform("max")
    for step, ended in rows[rows["step"] == last].groupby("step"):
        found = _of_cells(ended)
        yield found.assign(used=[{**used, "iterations": step} for used in found["used"]])


def _of_cells(rows: pd.DataFrame) -> pd.DataFrame:
    nothing = pd.DataFrame(columns=list(published.CELL)).astype({"ipc": "int64", "published_mean": float})
    frame = cells.cells(rows, nothing)
    on_sets = frame["sets"] > 1
    spread = _sample(frame["std_between_sets"], frame["sets"]).where(
        on_sets, _sample(frame["std_between_networks"], frame["networks"])
    )
    return _numbers(frame, spread, frame["sets"]).assign(
        condensed_on=frame["condense_network"].where(
            frame["condense_network"] != "", frame["evaluate_network"]
        ),
        evaluate_network=frame["evaluate_network"],
        recipe=frame["recipe"],
        steps=0,
        used=_epochs(frame),
    )


def _relative(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Return accuracies in percent of the accuracy on the whole set in recipe whole, if that was measured.

    The spread combines those of both accuracies; a whole set with one network adds none.
    """
    names = ["dataset", "evaluate_network"]
    on_whole = accuracies[(accuracies["method"] == WHOLE) & (accuracies["recipe"] == WHOLE)]
    whole = on_whole[[*names, "measured", "spread", "used"]]
    frame = accuracies[accuracies["method"] != WHOLE].merge(whole, on=names, suffixes=("", "_whole"))
    share = 100 * frame["measured"] / frame["measured_whole"]
    spreads = (frame["spread"], frame["spread_whole"].fillna(0))
    parts = [s / m for s, m in zip(spreads, (frame["measured"], frame["measured_whole"]), strict=True)]
    spread = share * (parts[0] ** 2 + parts[1] ** 2) ** 0.5
    found = frame.assign(quantity=published.RELATIVE, measured=share, spread=spread)
    return found[[*accuracies.columns, "used_whole"]]


def _continual(folder: Path, config: Config) -> Iterator[pd.DataFrame]:
    rows = _rows(folder / "continual", config.protocol, MEMORY)
    if rows is None:
        return
    nothing = pd.DataFrame(columns=["dataset", "ipc", "steps", "method", "published_mean", "source"])
    frame = continual_cells.cells(rows, nothing, Labels.of(config))
    frame = frame[(frame["step"] == frame["steps"]) & ~frame["distillation"]].reset_index(drop=True)
    first = rows.groupby(["dataset", "steps", "ipc", "method"])["evaluate_network"].first()
    frame = frame.join(first, on=["dataset", "steps", "ipc", "method"])
    spread = _sample(frame["std_between_orders"], frame["orders"]).where(
        frame["orders"] > 1, _sample(frame["std_between_networks"], frame["networks"])
    )
    yield _numbers(frame, spread, frame["orders"]).assign(
        condensed_on=frame["evaluate_network"],
        evaluate_network=frame["evaluate_network"],
        recipe=frame["recipe"],
        steps=frame["steps"],
        used=_epochs(frame),
    )


def _search(folder: Path, config: Config, known: Path) -> Iterator[pd.DataFrame]:
    rows = _rows(folder / "search" / "accuracy", config.protocol, SEARCH)
    tests = _rows(folder / "search" / "chosen", config.protocol, SEARCH)
    if rows is None or tests is None:
        return
    frame = search_cells.summary(rows, tests, known)
    frame = frame.rename(columns={"proxy": "method"})
    accuracy = frame.assign(mean=frame["test_mean"], sets=1, networks=frame["repeats"])
    spread = _sample(frame["test_std"], frame["repeats"])
    names = {"condensed_on": "", "evaluate_network": "", "recipe": "", "steps": 0}
    yield _numbers(accuracy, spread, accuracy["sets"]).assign(**names)
    # One search gives one correlation: it has no spread.
    correlation = accuracy.assign(mean=frame["spearman_top_test"], networks=frame["networks"])
    correlation = correlation[correlation["mean"].notna() & (frame["top"] >= ranking.FEWEST)]
    correlated = _numbers(correlation, spread[correlation.index] * math.nan, correlation["sets"])
    correlated = correlated.assign(**names)
    yield correlated.assign(quantity=published.CORRELATION)


def _epochs(frame: pd.DataFrame) -> list[dict[str, int]]:
    return [{"epochs": int(epochs)} for epochs in frame["epochs"]]


def _rows(folder: Path, protocol: str, kind: Any) -> pd.DataFrame | None:
    files = row_files([folder]) if folder.is_dir() else []
    return read_rows(files, protocol, kind) if files else None


def _sample(deviation: pd.Series, count: pd.Series) -> pd.Series:
    """Convert a population standard deviation to a sample standard deviation."""
    return deviation * (count / (count - 1).where(count > 1)) ** 0.5


def _numbers(frame: pd.DataFrame, spread: pd.Series, sets: pd.Series) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **{
                name: frame[name]
                for name in ("dataset", "method", "ipc", "networks", "protocol", "precision")
            },
            "quantity": published.ACCURACY,
            "measured": frame["mean"],
            "spread": spread,
            "spread_of": ["sets" if count > 1 else "networks" for count in sets],
            "sets": sets,
        }
    )
