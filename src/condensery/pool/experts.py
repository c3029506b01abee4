"""Experts: the states of networks after each epoch of their training on real images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from torch import Tensor

from condensery.errors import CondenseryError
from condensery.pool.store import States


class Experts(States):
    """All parts of the experts of a data set and a network; experts are numbered from 0."""

    script = "experts"

    @classmethod
    def open(cls, paths: Sequence[Path], dataset: str, network: str) -> Self:
        """See :meth:`States.open`.

        Raises:
            CondenseryError: see :meth:`States.open`; or the states are not those after each epoch.
        """
        experts = super().open(paths, dataset, network)
        whole = len(experts.members) == len(experts) * (experts.epochs + 1)
        if not whole or any(each.accuracy is not None for each in experts.members):
            raise CondenseryError(f"{paths[0]}: not experts: give what scripts/experts.py made")
        return experts

    def __len__(self) -> int:
        """Return the number of experts."""
        return int(self.experiment["networks"])

    @property
    def epochs(self) -> int:
        """Number of epochs of the experts' training."""
        return len(self.experiment.get("steps", ())) - 1

    def after(self, expert: int, epoch: int) -> Tensor:
        """Return all parameters of an expert after an epoch, float32 (P,) on the CPU; 0 is before the first.

        Raises:
            CondenseryError: the file was altered.
        """
        return self.members[expert * (self.epochs + 1) + epoch].weights()
