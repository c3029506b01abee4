"""All targets by name, and the files that they make.

Another target of an existing kind is an entry, and its cells in a protocol. The layout of a table of
accuracies is an entry in `condensery.reporting.specs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of target.

    Attributes:
        section: the key of a protocol that lists them.
        entry: the definition of a target's value in protocol.schema.yaml, if each has one of its own.
        tables: whether they are tables.
        figures: whether they are figures; they may be both.
        whole_set: whether they may list networks on the whole set among their methods.
    """

    section: str
    entry: str = ""
    tables: bool = False
    figures: bool = False
    whole_set: bool = False


ACCURACIES = Kind("targets", "blocks", tables=True, whole_set=True)
IMAGES = Kind("targets", "blocks", figures=True)
CURVES = Kind("targets", "blocks", figures=True, whole_set=True)
EMBEDDING = Kind("targets", "embedding", figures=True)
TRAJECTORIES = Kind("targets", "trajectories", figures=True)
CLASSES_IN_STEPS = Kind("continual", "incremental", tables=True, figures=True)
SEQUENCE = Kind("continual", "sequence", tables=True, figures=True)
SEARCH_TABLE = Kind("search", tables=True)
SEARCH_FIGURE = Kind("search", figures=True)

TARGETS: Mapping[str, Kind] = {
    "table1": ACCURACIES,
    "table2": ACCURACIES,
    "table3": ACCURACIES,
    "table4": ACCURACIES,
    "table6": ACCURACIES,
    "larger_sets": ACCURACIES,
    "imagenet": ACCURACIES,
    "dsa_ablation": ACCURACIES,
    "dsa_siamese": ACCURACIES,
    "dsa_cross_architecture": ACCURACIES,
    "summary": CURVES,
    "figure_larger_sets": CURVES,
    "dsa_curve": CURVES,
    "figure2": IMAGES,
    "figure3": EMBEDDING,
    "figure4": TRAJECTORIES,
    "figure_distributions": IMAGES,
    "continual5": CLASSES_IN_STEPS,
    "continual10": CLASSES_IN_STEPS,
    "dsa_continual": SEQUENCE,
    "table5": SEARCH_TABLE,
    "figure_nas": SEARCH_FIGURE,
}


def of_kind(*kinds: Kind) -> list[str]:
    """Return the targets of some kinds."""
    return [name for name, kind in TARGETS.items() if kind in kinds]


def of_section(section: str) -> list[str]:
    """Return the targets that a protocol lists under a key."""
    return [name for name, kind in TARGETS.items() if kind.section == section]
