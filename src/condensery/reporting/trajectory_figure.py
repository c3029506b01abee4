"""The figure of trajectories, accuracy against time or iterations, and its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import Trajectories
from condensery.files import atomic
from condensery.progress import duration
from condensery.reporting import layout, markdown
from condensery.reporting.drawing import STYLE, Drawing, heading
from condensery.reporting.labels import Labels
from condensery.reporting.styles import style
from condensery.reporting.trajectory_cells import CURVE, ERRORS, Comparison, comparisons

_TIME, _ITERATIONS = "time of condensing", "iterations"
_HEADS = ("Data set", "Images/class", "Method", "Network", "Iterations", "Time", "Accuracy", "n")
# Possible ticks of an axis of time: every second one, or all if that leaves too few.
_TICKS = (0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10800, 36000, 108000, 360000)


def draw(name: str, frame: pd.DataFrame, goals: pd.DataFrame, times: pd.DataFrame, labels: Labels) -> Drawing:
    """Draw points: one panel per data set and ipc, one curve per method, on a logarithmic axis.

    It is an axis of time, or of iterations if the panel has a single method. The axis of iterations reaches
    to all iterations of the method; a gray area covers those that were not run.

    Args:
        name: name of the figure.
        frame: points as `trajectory_cells.points` returns them.
        goals: the curves as `trajectory_cells.goals` returns them.
        times: published times as `published.costs` returns them, which the caption quotes.
        labels: names for readers.

    Raises:
        CondenseryError: the figure is unknown.
    """
    shown = title(name, frame)
    with mpl.rc_context(STYLE):
        panels = list(frame.groupby(["dataset", "ipc"], sort=False))
        size = (0.8 + 4.6 * len(panels), 3.6)
        figure = Figure(figsize=size, dpi=200, facecolor="white", layout="constrained")
        for axes, ((dataset, ipc), group) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
        ):
            _panel(axes, group, goals[(goals["dataset"] == dataset) & (goals["ipc"] == ipc)], labels)
            above = heading(f"{labels.dataset(dataset)}, {_per_class(ipc)}", labels.protocol, _counts(group))
            axes.set_title(above, fontsize=9, loc="left", fontweight="bold")
    marks = "Bands: one standard deviation."
    if comparisons(frame):
        marks += " Dotted: the final accuracy of DSA."
    sentences = [caption(frame, labels), marks, *statements(frame, labels), *known(goals, labels)]
    return Drawing(figure, shown, " ".join([*sentences, *quoted(frame, times, labels)]))


def write_numbers(
    name: str,
    frame: pd.DataFrame,
    goals: pd.DataFrame,
    times: pd.DataFrame,
    labels: Labels,
    prefix: Path,
) -> None:
    """Write the numbers of the figure, one line per point, as prefix.csv and prefix.md, each atomically.

    Args:
        name: see `draw`.
        frame: see `draw`.
        goals: see `draw`.
        times: see `draw`.
        labels: see `draw`.
        prefix: path of the files without their suffix.
    """
    sentences = [*statements(frame, labels), *known(goals, labels), *quoted(frame, times, labels)]
    lines = [_line(point, labels) for _, point in frame.iterrows()]
    parts = [
        f"# {title(name, frame)}",
        caption(frame, labels),
        *sentences,
        markdown.table(_HEADS, lines),
    ]
    for suffix, text in (
        (".csv", frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")),
        (".md", "\n\n".join(parts) + "\n"),
    ):
        with atomic(prefix.with_name(prefix.name + suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def title(name: str, frame: pd.DataFrame) -> str:
    """Return the title of the figure, which names the axes of its panels.

    Raises:
        CondenseryError: the figure is unknown.
    """
    axes = [_axis(panel) for _, panel in frame.groupby(["dataset", "ipc"], sort=False)]
    return f"{find(Trajectories, name).title} against the {' and the '.join(dict.fromkeys(axes))}"


def caption(frame: pd.DataFrame, labels: Labels) -> str:
    """Return the caption: the meaning of the numbers, the numbers of networks, device, time and versions."""
    versions = {name: frame[name] for name in layout.VERSIONS}
    return " ".join(
        [
            labels.sentence(),
            f"Accuracy in percent, mean and population standard deviation; n = sets {layout.TIMES} networks "
            f"per point: {_counts(frame)}; recipe {layout.distinct(frame['recipe'])}.",
            f"Time of condensing alone, mean of the sets, on {_several(frame['condense_device'])}, "
            f"{duration(_whole(frame))} in all; networks trained and tested in "
            f"{duration(frame['seconds'].sum())} on {_several(frame['device'])}, "
            f"{_several(frame['precision'])}.",
            f"Made with {layout.versions_text(versions)}.",
        ]
    )


def statements(frame: pd.DataFrame, labels: Labels) -> list[str]:
    """Return a sentence per data set and ipc on the time in which DM reaches the final accuracy of DSA."""
    return [_statement(each, labels) for each in comparisons(frame)]


def known(goals: pd.DataFrame, labels: Labels) -> list[str]:
    """Return a sentence per curve on how far it goes, and on the accuracies that others found at the end.

    Args:
        goals: the curves as `trajectory_cells.goals` returns them.
        labels: names for readers.

    Returns:
        Sentences; none for a curve with all iterations if no accuracy is known.
    """
    return [
        _known(goal, labels)
        for goal in goals.to_dict("records")
        if goal["last"] < goal["iterations"] or goal["source"] or goal["reported"]
    ]


def _known(goal: Mapping[str, Any], labels: Labels) -> str:
    whole, cell = f"{goal['iterations']:,}", f"{labels.dataset(goal['dataset'])}, {_per_class(goal['ipc'])}"
    unfinished = goal["last"] < goal["iterations"]
    text = f"{goal['last']:,} of {whole}" if unfinished else f"all {whole}"
    others = []
    if goal["source"]:
        others.append(f"{layout.published(goal)} is published ({goal['source']})")
    if goal["reported"]:
        others.append(f"users of the public code report {goal['reported']} ({goal['reporters']})")
    found = f" After {whole} iterations, {', and '.join(others)}." if others else ""
    return f"{cell}: {labels.method(goal['method'])} was run for {text} iterations.{found}"


def quoted(frame: pd.DataFrame, times: pd.DataFrame, labels: Labels) -> list[str]:
    """Return a sentence with the published times of the data sets, sizes and methods in the figure.

    Args:
        frame: points as `trajectory_cells.points` returns them.
        times: published times as `published.costs` returns them.
        labels: titles of the methods.

    Returns:
        One sentence; none if no time is published.
    """
    shown = frame[["dataset", "ipc", "method"]].drop_duplicates()
    printed = shown.assign(ipc=shown["ipc"].astype(str)).merge(times, on=["dataset", "ipc", "method"])
    if printed.empty:
        return []
    costs = [
        f"{labels.method(line.method)} on {line.hardware}, {duration(60 * line.minutes)} ({line.source})"
        for line in printed.itertuples()
    ]
    return [f"Published times: {'; '.join(costs)}."]


def _statement(comparison: Comparison, labels: Labels) -> str:
    goal, reached, last = comparison.goal, comparison.reached, comparison.last
    reference, compared = labels.method(goal["method"]), labels.method(last["method"])
    text = (
        f"{labels.dataset(goal['dataset'])}, {_per_class(goal['ipc'])}: {reference} ends with "
        f"{goal['mean']:.1f} after {_time(goal)}, {compared} with {last['mean']:.1f} after {_time(last)}."
    )
    if not comparison.measurable:
        return f"{text} One set does not show how much faster {compared} is."
    if reached is None:
        return (
            f"{text} No snapshot of {compared} is above that, and stays there, by {ERRORS:g} standard errors."
        )
    digits = 0 if comparison.factor >= 10 else 1
    text += (
        f" From its snapshot after {_time(reached)} on, {compared} is above {reference}'s last accuracy by "
        f"{ERRORS:g} standard errors: at least {comparison.factor:.{digits}f} times as fast."
    )
    if reached["condense_device"] != goal["condense_device"]:
        text += " The two were condensed on different devices, so the factor compares devices too."
    return text


def _panel(axes: Axes, group: pd.DataFrame, goals: pd.DataFrame, labels: Labels) -> None:
    axis = _axis(group)
    alone = axis == _ITERATIONS
    place = "step" if alone else "condense_seconds"
    for _, curve in group.groupby(list(CURVE), sort=False):
        at, mean, spread = curve[place], curve["mean"], curve["std"].fillna(0)
        color, marker = style(curve["method"].iloc[0], labels.order(group["method"]))
        name = _curve_name(curve, group, labels)
        axes.plot(at, mean, color=color, marker=marker, ms=4, label=name)
        axes.fill_between(at, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
    for each in comparisons(group):
        name = f"{labels.method(each.goal['method'])}'s last accuracy"
        axes.axhline(each.goal["mean"], color="0.4", lw=0.9, ls=":", zorder=0, label=name)
    axes.set_xscale("log")
    if alone:
        last, whole = goals["last"].max(), goals["iterations"].max()
        if last < whole:
            name = f"gray: not run, {last:,} to {whole:,} iterations"
            axes.axvspan(last, whole, color="0.92", lw=0, zorder=-1, label=name)
        axes.xaxis.set_major_locator(FixedLocator(sorted({*group["step"], whole})))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        for goal in goals.dropna(subset="published_mean").to_dict("records"):
            name = f"published, {goal['iterations']:,} iterations"
            axes.axhline(goal["published_mean"], color="0.4", lw=0.9, ls=":", zorder=0, label=name)
    else:
        span = _span(group["condense_seconds"])
        axes.set_xlim(*span)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(*span)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _tick(seconds)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(axis)
    axes.set_ylabel("test accuracy (%)")
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _axis(panel: pd.DataFrame) -> str:
    """Return what the accuracies of a panel are drawn against."""
    return _ITERATIONS if panel["method"].nunique() == 1 else _TIME


def _span(seconds: pd.Series) -> tuple[float, float]:
    """Return the limits of the axis: the ticks next to the times, if there are any."""
    least, most = seconds.min(), seconds.max()
    below, above = [t for t in _TICKS if t <= least], [t for t in _TICKS if t >= most]
    return max(below, default=least), min(above, default=most)


def _ticks(first: float, last: float) -> list[float]:
    inside = [tick for tick in _TICKS if first <= tick <= last]
    return inside if len(inside) < 6 else [tick for tick in inside if tick in _TICKS[1::2]]


def _curve_name(curve: pd.DataFrame, group: pd.DataFrame, labels: Labels) -> str:
    first = curve.iloc[0]
    several = group["condense_network"].nunique() > 1
    return labels.method(first["method"]) + (f", {first['condense_network']}" if several else "")


def _line(point: pd.Series, labels: Labels) -> Sequence[str]:
    return (
        labels.dataset(point["dataset"]),
        str(point["ipc"]),
        labels.method(point["method"]),
        layout.networks(point),
        f"{point['step']:,}",
        _time(point),
        layout.measured(point),
        layout.count(point),
    )


def _counts(frame: pd.DataFrame) -> str:
    return layout.distinct(layout.count(point) for point in frame.to_dict("records"))


def _whole(frame: pd.DataFrame) -> float:
    """Return the time of condensing of all sets of all curves, in seconds."""
    last = frame.groupby(list(CURVE), sort=False).tail(1)
    return float((last["condense_seconds"] * last["sets"]).sum())


def _several(column: Iterable[str]) -> str:
    return layout.distinct(part for value in column for part in value.split(" + "))


def _per_class(ipc: int) -> str:
    return f"{ipc} {'image' if ipc == 1 else 'images'}/class"


def _time(point: pd.Series) -> str:
    seconds = point["condense_seconds"]
    return duration(seconds) if seconds >= 10 else f"{seconds:.2g} s"


def _tick(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
