"""The later methods beside their authors' public code: a package for each, with the work of both sides.

Each package has ``WORKS``, what ``against_methods.py`` measures, ``QUICK``, the same at tiny sizes, and two
modules: ``ours``, with a class ``Ours``, and ``theirs``, with a class ``Theirs``. The modules ``theirs``
import NumPy and the authors' code, but not this project's library: they may run in another Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

METHODS = ("dcc", "frepo", "gtn")


@dataclass(frozen=True)
class Work:
    """The work of both sides.

    Attributes:
        step: one step in a few words, with its sizes.
        repository: the authors' code, ``owner/name`` on GitHub.
        packages: packages of the authors' side whose versions a row states.
        sizes: the sizes by name, as both sides read them.
        compiled: whether this project may compile its networks, as its jobs do.
    """

    step: str
    repository: str
    packages: tuple[str, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    compiled: bool = True


class Side(Protocol):
    """One side, in a process of its own.

    Our side is made first, from ``sizes``, ``compiled`` and ``shared``, a file in which it writes arrays that
    the other side reads: real data, weights, whatever both must have in common. The other side is made from
    ``sizes``, ``shared`` and ``reference``, the authors' checkout.
    """

    def check(self) -> Mapping[str, np.ndarray]:
        """Return ``loss`` and gradients by name, for the same weights, real and synthetic images."""
        ...

    def step(self, number: int) -> None:
        """Run one step to its end; its draws may differ from the other side's."""
        ...
