"""Schedules of the learning rate over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Schedule:
    """A schedule of the learning rate.

    Attributes:
        kind: ``halfway``, as in the authors' public code of DC, DSA and DM, runs E + 1 epochs: those with
            (zero-based) index up to E // 2 + 1 at the full rate, the others at a tenth of it with a new
            optimizer. All others run E epochs: ``constant``; ``steps``, see ``falls``; ``cosine``, half a
            wave over the steps after ``warmup``, from the full rate to ``floor`` times it.
        falls: for ``steps``: pairs of a share of the epochs, after which the rate falls, and the factor of
            the fall. A share is a number such as 0.2 or a text such as ``2/3``; epochs are rounded down.
        restart: for ``steps``: whether the optimizer is reset, without momentum, when the rate falls.
        floor: for ``cosine``: the final rate, as a share of the full rate.
        warmup: for ``cosine``: the number of first steps, in which the rate rises linearly from 0.
    """

    kind: str = "halfway"
    falls: Sequence[tuple[float | str, float]] = ()
    restart: bool = False
    floor: float = 0.0
    warmup: int = 0

    @property
    def restarts(self) -> bool:
        """Whether the optimizer is reset with every new rate."""
        return self.restart or self.kind == "halfway"

    def epochs_run(self, epochs: int) -> int:
        """Return the number of epochs run for E = ``epochs``."""
        return epochs + 1 if self.kind == "halfway" else epochs

    def rate(self, lr: float, epochs: int, epoch: int, step: int, steps: int) -> float:
        """Return the learning rate of a step.

        Args:
            lr: the full rate.
            epochs: E.
            epoch: zero-based index of the epoch.
            step: zero-based index of the step in its epoch.
            steps: number of steps per epoch.
        """
        match self.kind:
            case "halfway":
                return lr if epoch <= epochs // 2 + 1 else lr / 10
            case "steps":
                # Shares are exact decimal fractions: 0.2 of 10 epochs are 2, and not a little more.
                past = [factor for share, factor in self.falls if epoch >= int(Fraction(str(share)) * epochs)]
                return lr * math.prod(past)
            case "cosine":
                done = epoch * steps + step
                if done < self.warmup:
                    return lr * (done + 1) / self.warmup
                turned = math.pi * (done - self.warmup) / (epochs * steps - self.warmup)
                return lr * (self.floor + (1 - self.floor) * (1 + math.cos(turned)) / 2)
            case _:
                return lr


HALFWAY = Schedule()
"""The schedule of a recipe that states none."""
