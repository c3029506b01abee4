"""The kinds of targets, one class per kind; the targets themselves are in `condensery.experiment.catalog`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Layout:
    """The lines and columns of a table of accuracies.

    Line and column together must identify one cell: two cells with equal values in both are an error.

    Attributes:
        lines: the columns of cells that identify a line, names of `layout.HEADS`; the data set comes first.
        columns: the column of cells whose values are the table's columns, a name of `layout.HEADS`.
        relative: whether accuracies are also given in percent of the accuracy on the whole set.
    """

    lines: tuple[str, ...] = ("dataset", "ipc", "recipe")
    columns: str = "method"
    relative: bool = False


@dataclass(frozen=True)
class Panel:
    """The panel of a table in the figure of all published numbers; several tables may share a panel.

    Attributes:
        title: title of the panel.
        lines: the meaning of its lines, a key of `reproduction_figure.HEADS`.
        columns: the meaning of its columns, likewise.
    """

    title: str
    lines: str = "size"
    columns: str = "method"


@dataclass(frozen=True)
class Target:
    """A target; each kind of target is a subclass.

    Attributes:
        title: the title for readers, which begins with the number in the paper, if there is one.
        panel: the panel of its published numbers in the figure of all published numbers; None is a panel of
            its own with the target's title.
        section: the key of a protocol that lists targets of this kind.
        entry: the definition of the target's value in protocol.schema.yaml, if each target has a value.
        tables: whether targets of this kind are tables.
        figures: whether targets of this kind are figures; a kind may be both.
        whole_set: whether ``whole``, networks on the whole set, is allowed among the methods.
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
        notes: sentences that explain the table.
        layout: its lines and its columns.
        published: the file of the published numbers, without the folder and ``.csv``.
        gaps: whether published cells without a measurement are shown, for the data sets, sizes and recipes
            that were measured.
        reproduced: whether the published numbers belong to the papers that are compared number by number.
        baselines: the methods that select random images; the cells of others state their gain over these.
    """

    notes: tuple[str, ...] = ()
    layout: Layout = Layout()
    published: str = "table1"
    gaps: bool = False
    reproduced: bool = True
    baselines: tuple[str, ...] = ()
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
        relative: whether a second panel shows accuracies in percent of the accuracy on the whole set in
            recipe whole.
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
    """A figure of accuracy against the time or the iterations of condensing, which its title adds."""

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
        steps: the number of steps of the published experiment.
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
