"""The precision study: precisions in which sets are condensed and evaluated, at equal seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# The precision with which all others are compared.
BASE = "fp32"


@dataclass(frozen=True)
class Cell:
    """Synthetic sets of one kind.

    Attributes:
        dataset: entry of config/datasets.yaml.
        method: ``dm`` or ``dsa``.
        ipc: images per class.
        parameters: parameters of the method that differ from the published ones.
    """

    dataset: str
    method: str
    ipc: int
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One set, condensed in one precision and evaluated in another."""

    cell: Cell
    set_seed: int
    condensed: str
    evaluated: str


@dataclass(frozen=True)
class Study:
    """The sets and networks of a study.

    Attributes:
        name: name of the study.
        cells: the kinds of sets.
        sets: number of sets of each kind and precision; their seeds are 0, 1, ...
        networks: number of networks trained on each set.
        epochs: epochs of their training; None for the published number.
        test_images: number of test images, from the start of the test split; None for all.
        crossed: whether sets are also evaluated in precisions other than their own and fp32.
    """

    name: str
    cells: tuple[Cell, ...]
    sets: int
    networks: int
    epochs: int | None = None
    test_images: int | None = None
    crossed: bool = True

    def tasks(self, precisions: list[str]) -> Iterator[Task]:
        """Yield the tasks in an order that allows a summary of an incomplete study.

        Sets in their own precision come first, seed by seed and all precisions of a seed together.
        """
        grid = [(seed, cell, p) for seed in range(self.sets) for cell in self.cells for p in precisions]
        for seed, cell, precision in grid:
            yield Task(cell, seed, precision, precision)
        for seed, cell, precision in grid:
            for other in precisions:
                if other != precision and (self.crossed or other == BASE):
                    yield Task(cell, seed, precision, other)


_FEW = {"batch_real": 64}

STUDIES = {
    study.name: study
    for study in (
        Study(
            "tiny",
            (Cell("digits", "dm", 1, {"iterations": 2, "batch_real": 4}),),
            sets=2,
            networks=1,
            epochs=1,
            test_images=50,
        ),
        Study(
            "small",
            (
                Cell("mnist", "dm", 1, {"iterations": 40, **_FEW}),
                Cell("mnist", "dm", 10, {"iterations": 40, **_FEW}),
                Cell("mnist", "dsa", 1, {"iterations": 20, **_FEW}),
            ),
            sets=3,
            networks=2,
            epochs=60,
            test_images=2_000,
        ),
        Study(
            "medium",
            (
                Cell("cifar10", "dm", 1, {"iterations": 1_000}),
                Cell("cifar10", "dm", 10, {"iterations": 1_000}),
                Cell("cifar10", "dsa", 1, {"iterations": 200}),
                Cell("cifar10", "dsa", 10, {"iterations": 10}),
            ),
            sets=3,
            networks=5,
            epochs=300,
        ),
        # A cell that users of the public code do not reproduce: DM, CIFAR-10, 50 images per class.
        Study("ipc50", (Cell("cifar10", "dm", 50),), sets=5, networks=20, crossed=False),
    )
}
