"""NCFM: match the characteristic functions of the features at random frequencies.

Source: Wang et al., *Dataset Distillation with Neural Characteristic Function: A Minmax Perspective*, 2025,
and its authors' public code with its own configurations, which do not use the network that samples
frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from condensery import streams
from condensery.methods import dm
from condensery.methods.base import Problem, register
from condensery.methods.dance import DualAlignment
from condensery.methods.dm import Weights
from condensery.methods.pairs import Pairs
from condensery.methods.pixels import FallingPixels, Pixels
from condensery.run import Run

# Factor of the whole loss (the authors' public code).
_FACTOR = 300

# Added under the root, whose slope is infinite at 0.
_LEAST = 1e-12


@register
class CharacteristicMatching(DualAlignment):
    """DANCE whose feature loss is the distance of characteristic functions.

    Parameters besides those of DANCE and of :class:`condensery.methods.pixels.FallingPixels`:
    ``frequencies``, the number of frequencies per step; ``amplitude``, the weight w of differences in
    amplitude, with 1 - w for differences in phase; ``real``, ``random`` for new random real images in each
    step, or ``first`` for always the first ones of the class.
    """

    name = "ncfm"

    def pixels(self, problem: Problem, run: Run) -> Pixels:
        """See :class:`condensery.methods.dm.DistributionMatching`."""
        return FallingPixels(problem, run)

    def between(self, problem: Problem, pairs: Pairs) -> dm.Matcher:
        """See :class:`condensery.methods.dance.DualAlignment`."""
        return Matcher(problem, pairs.between)


class Matcher(dm.Matcher):
    """The distance of characteristic functions, at the same frequencies for all classes."""

    def __init__(self, problem: Problem, weights: Weights | None = None) -> None:
        """See :class:`condensery.methods.dm.Matcher`."""
        super().__init__(problem, weights)
        self._step, self._frequencies = -1, torch.empty(0)

    def batch(self, c: int, step: int) -> np.ndarray:
        """See :class:`condensery.methods.dm.Matcher`."""
        if self._problem.parameters["real"] == "first":
            return self._problem.data.train.indices_of(c)[: self._problem.parameters["batch_real"]]
        return super().batch(c, step)

    def loss(self, real: Sequence[Tensor], synthetic: Tensor, classes: Sequence[int], step: int) -> Tensor:
        """See :class:`condensery.methods.dm.Matcher`."""
        if step != self._step:
            shape = self._problem.parameters["frequencies"], synthetic.shape[-1]
            stream = streams.generator(self._problem.seed, "frequencies", step)
            self._step, self._frequencies = step, torch.randn(shape, generator=stream).to(synthetic)
        amplitude = self._problem.parameters["amplitude"]
        parts = [
            discrepancy(of_real, own, self._frequencies, amplitude, 1 - amplitude)
            for of_real, own in zip(real, synthetic, strict=True)
        ]
        return _FACTOR * torch.stack(parts)


def discrepancy(x: Tensor, y: Tensor, frequencies: Tensor, amplitude: float, phase: float) -> Tensor:
    """Return the mean distance of two characteristic functions over frequencies, a scalar.

    Args:
        x: features, (n, F), which are normalized to length 1 here.
        y: the features to compare with, (m, F), likewise.
        frequencies: (T, F).
        amplitude: the weight of the squared difference in amplitude.
        phase: the weight of the rest of the squared distance, which is due to the phase.
    """
    (a, b), (c, d) = (characteristic(F.normalize(each, dim=1), frequencies) for each in (x, y))
    first, second = (torch.sqrt(one.square() + other.square()) for one, other in ((a, b), (c, d)))
    turned = (2 * (first * second - a * c - b * d)).clamp(min=_LEAST)
    return torch.sqrt(amplitude * (first - second).square() + phase * turned).mean()


def characteristic(features: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Return the real and the imaginary part of the mean of exp(i <t, z>) at each frequency t, each (T,).

    Args:
        features: z, (n, F).
        frequencies: t, (T, F).
    """
    angles = features @ frequencies.T
    return angles.cos().mean(0), angles.sin().mean(0)
