"""The kinds of targets: a class for each, whose attributes say what a target of the kind is.

`condensery.experiment.catalog` has the targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Layout:
    """The lines and columns of a table of accuracies.

    Cells that agree in lines and columns are one cell of the table, so all else must follow from these.

    Attributes:
        lines: the columns of cells that identify a line, names of `layout.HEADS`; the data set comes first.
        columns: the column of cells whose values are the table's columns, a name of `layout.HEADS`.
        relative: whether an accuracy is also given in percent of that on the whole set.
    """

    lines: tuple[str, ...] = ("dataset", "ipc", "recipe")
    columns: str = "method"
    relative: bool = False


@dataclass(frozen=True)
class Panel:
    """The panel of a table in the figure of all published numbers; tables may share one.

    Attributes:
        title: its title.
        lines: what its lines are, a key of `reproduction_figure.HEADS`.
        columns: what its columns are, likewise.
    """

    title: str
    lines: str = "size"
    columns: str = "method"


@dataclass(frozen=True)
class Target:
    """A target. A kind of target is a class.

    Attributes:
        title: what readers see; the number in the paper first, if it has one.
        panel: where its published numbers are in the figure of all of them; None for one of its own.
        section: the key of a protocol that lists targets of this kind.
        entry: the definition of a target's value in protocol.schema.yaml, if each has one of its own.
        tables: whether targets of this kind are tables.
        figures: whether they are figures; they may be both.
        whole_set: whether they may list networks on the whole set among their methods.
    """

    title: str
    panel: Panel | None = None
    section: ClassVar[str] = "targets"
    entry: ClassVar[str] = ""
    tables: ClassVar[bool] = False
    figures: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False


@dataclass(frozen=True)
class Accuracies(Target):
    """A table of accuracies of networks trained on sets.

    Attributes:
        notes: how to read it, one sentence each.
        layout: its lines and its columns.
        published: the file of the published numbers, without the folder and ``.csv``.
        gaps: whether cells that are only published are shown too, for data sets, sizes and recipes that were
            measured.
        reproduced: whether the published numbers are of the papers whose every number is set beside ours.
    """

    notes: tuple[str, ...] = ()
    layout: Layout = Layout()
    published: str = "table1"
    gaps: bool = False
    reproduced: bool = True
    entry = "blocks"
    tables = True
    whole_set = True


@dataclass(frozen=True)
class Images(Target):
    """A figure of synthetic images, one panel per set."""

    entry = "blocks"
    figures = True


@dataclass(frozen=True)
class Curves(Target):
    """A figure of accuracy against images per class.

    Attributes:
        relative: whether a second panel has the accuracy in percent of that on the whole set in recipe whole.
    """

    relative: bool = False
    entry = "blocks"
    figures = True
    whole_set = True


@dataclass(frozen=True)
class Embedding(Target):
    """A map of synthetic and real images in the features of a network."""

    entry = "embedding"
    figures = True


@dataclass(frozen=True)
class Trajectories(Target):
    """A figure of accuracy against the time of condensing."""

    entry = "trajectories"
    figures = True


@dataclass(frozen=True)
class Memories(Target):
    """A table and a figure of continual learning."""

    section = "continual"
    tables = True
    figures = True


@dataclass(frozen=True)
class ClassesInSteps(Memories):
    """Classes of one data set that come in steps.

    Attributes:
        steps: the number of steps of the published numbers that this target measures.
    """

    steps: int = 0
    entry = "incremental"


@dataclass(frozen=True)
class Sequence(Memories):
    """Data sets that come one after another."""

    entry = "sequence"


@dataclass(frozen=True)
class SearchTable(Target):
    """The table of the architecture search of a protocol."""

    section = "search"
    tables = True


@dataclass(frozen=True)
class SearchFigure(Target):
    """The figure of the same search."""

    section = "search"
    figures = True
