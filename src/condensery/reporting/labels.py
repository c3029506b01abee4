"""Names for readers: the protocol and its description, the titles of methods, their order, and data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from condensery.experiment import EARLY_STOPPING, Config
from condensery.experiment.memories import JOIN
from condensery.experiment.targets import WHOLE

_TITLES = {WHOLE: "Whole set", EARLY_STOPPING: "Early stopping"}
"""Titles of training data that are not made by a method."""


@dataclass(frozen=True)
class Labels:
    """Names for readers.

    Attributes:
        protocol: name of the protocol.
        description: description of the protocol, such as the numbers that it reduces; may be empty.
        titles: name of a method -> title, in the order in which tables list methods.
        datasets: name of a data set -> title.
    """

    protocol: str
    description: str = ""
    titles: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return the names of a configuration."""
        titles = {name: entry["title"] for name, entry in config.methods.items()}
        datasets = {name: entry.get("title", name) for name, entry in config.datasets.items()}
        return cls(config.protocol, config.spec["description"], titles, datasets)

    def method(self, name: str) -> str:
        """Return the title of a method, or its name."""
        return _TITLES.get(name) or self.titles.get(name, name)

    def dataset(self, name: str) -> str:
        """Return the title of a data set, or its name; for a sequence of data sets, those of all, joined."""
        return f" {JOIN} ".join(self.datasets.get(part, part) for part in name.split(JOIN))

    def order(self, methods: Iterable[str]) -> list[str]:
        """Sort the distinct methods: in the order of the titles, then others by name, then the whole set."""
        known = list(self.titles)

        def sort_key(name: str) -> tuple[bool, int, str]:
            return name == WHOLE, known.index(name) if name in known else len(known), name

        return sorted(set(methods), key=sort_key)

    def sentence(self) -> str:
        """Return the first sentence of a caption, which names the protocol."""
        return f"Protocol {self.protocol}" + (f" ({self.description})" if self.description else "") + "."
