"""Tables of continual learning as CSV, Markdown, LaTeX and HTML: memories are lines, steps are columns."""

from __future__ import annotations

import pandas as pd

from condensery.experiment.catalog import find
from condensery.experiment.memories import RECIPE
from condensery.experiment.target_kinds import Memories
from condensery.progress import duration
from condensery.reporting import layout, markdown, metrics
from condensery.reporting.labels import Labels
from condensery.reporting.latex import tabular
from condensery.reporting.layout import Cell, Grid
from condensery.reporting.tables import Table


def build(name: str, frame: pd.DataFrame, labels: Labels) -> Table:
    """Build a table.

    Args:
        name: name of the table.
        frame: cells of one data set or sequence, as `continual_cells.cells` returns them.
        labels: names for readers.

    Raises:
        CondenseryError: the table is unknown.
    """
    target = find(Memories, name)
    table, description = grid(frame, labels), caption(frame, labels)
    text = f"# {target.title}\n\n{description}\n\n{markdown.table(table.heads, table.lines)}\n"
    latex = tabular(name, f"{target.title}. {description}", table.heads, table.lines)
    return Table(frame, text, latex, metrics.of(frame))


def grid(frame: pd.DataFrame, labels: Labels) -> Grid:
    """Arrange cells in a grid: the steps, the published accuracy after the last, and the memory's size."""
    published = not is_sequence(frame)
    of_last = frame[frame["step"] == frame["steps"]].to_dict("records")
    lines = []
    for last in of_last:
        line = ["method", "recipe", "distillation"]
        steps = frame[(frame[line] == [last[name] for name in line]).all(axis=1)].to_dict("records")
        lines.append(
            (
                line_name(last, labels),
                *(layout.measured(cell) for cell in steps),
                *((layout.published(last), layout.difference(last["difference"])) if published else ()),
                layout.count(last),
                str(last["memory_images"]),
                f"{_megabytes(last['memory_bytes'])} ({_megabytes(last['memory_bytes_8bit'])})",
            )
        )
    first = frame[frame["method"] == frame["method"].iloc[0]]
    steps = first.drop_duplicates("step").to_dict("records")
    ends = ("Published end", "Difference") if published else ()
    heads = ("Memory", *(step_name(step, labels) for step in steps), *ends, "n", "Images", "MB (8-bit)")
    return Grid(heads, tuple(lines))


def caption(frame: pd.DataFrame, labels: Labels) -> str:
    """Return the caption: the meaning of the numbers, the numbers of networks, device, time and versions."""
    first = frame.iloc[0]
    sequence = is_sequence(frame)
    what = (
        f"{in_turn(frame, labels)}: accuracy in percent after every "
        "data set, mean over the data sets so far; 'distilled' networks are held to their previous outputs, "
        "those on 'joint sets' train on the sets of all data sets so far alone"
        if sequence
        else f"{labels.dataset(first['dataset'])}: accuracy in percent after every step, on all test images "
        "of classes seen"
    )
    counts = " and ".join(dict.fromkeys(layout.count(cell) for cell in frame.to_dict("records")))
    spent = layout.distinct(part for value in frame["device"] for part in value.split(" + "))
    precision = layout.distinct(part for value in frame["precision"] for part in value.split(" + "))
    versions = {name: frame[name] for name in layout.VERSIONS}
    return " ".join(
        [
            labels.sentence(),
            f"{what}. Mean and population standard deviation; n = orders {layout.TIMES} networks: {counts}.",
            f"Memory: {first['ipc']} {'image' if first['ipc'] == 1 else 'images'} per class"
            + (" and data set" if sequence else "")
            + "; MB of its pixels as float32, in brackets as 8-bit values.",
            f"Trained and tested in {duration(frame['seconds'].sum())} on {spent}, {precision}.",
            f"Made with {layout.versions_text(versions)}.",
        ]
    )


def is_sequence(frame: pd.DataFrame) -> bool:
    """Say whether the cells belong to data sets one after another, not to classes in steps."""
    return frame["task"].nunique() > 1


def line_name(cell: Cell, labels: Labels) -> str:
    """Write the method of the memory and, for a sequence of data sets, the way of learning."""
    joint = cell["task"] != cell["dataset"] and cell["recipe"] == RECIPE
    way = ", distilled" if cell["distillation"] else ", joint sets" if joint else ""
    return labels.method(cell["method"]) + way


def in_turn(frame: pd.DataFrame, labels: Labels) -> str:
    """Write the data sets in the order in which they are learned."""
    return " then ".join(map(labels.dataset, dict.fromkeys(frame.sort_values("step")["task"])))


def step_name(cell: Cell, labels: Labels) -> str:
    """Write what a step has added: the number of classes seen, or the data set."""
    if cell["task"] == cell["dataset"]:
        return f"{cell['classes_seen']} classes"
    task = labels.dataset(cell["task"])
    return task if cell["step"] == 1 else f"+ {task}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3g}"
