"""The figures of a score, computed from the accuracies of networks, each with an interval.

HLR, IOR, LRS and ARS are those of DD-Ranking (arXiv 2505.13300), with accuracies as fractions. Each is an
increasing function of a weighted sum of mean accuracies; its interval is that of the sum, mapped by the
function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""The confidence level of all intervals."""
WEIGHT = 0.5
"""The weight of IOR in LRS, and of training with augmentation in ARS, as on DD-Ranking's leaderboard."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval, whose ends are None if one of the means is that of a single network."""

    value: float
    low: float | None
    high: float | None

    def mapped(self, function: Callable[[float], float]) -> Estimate:
        """Return an increasing function of the figure, with its interval."""
        low, high = (None if end is None else function(end) for end in (self.low, self.high))
        return Estimate(function(self.value), low, high)


def weighted_sum(terms: Sequence[tuple[float, Sequence[float]]], least: float, most: float) -> Estimate:
    """Return a weighted sum of means of independent samples.

    The interval is Student's, with the degrees of freedom of Welch and Satterthwaite; for a single sample of
    n values these are n - 1.

    Args:
        terms: weight and values of each sample; values within a sample are independent, too.
        least: the smallest possible sum, at which intervals are clipped.
        most: the largest possible sum, likewise.
    """
    value = math.fsum(weight * _mean(values) for weight, values in terms)
    if any(len(values) < 2 for _, values in terms):
        return Estimate(value, None, None)
    parts = [weight**2 * _variance(values) / len(values) for weight, values in terms]
    variance = math.fsum(parts)
    if not variance:
        return Estimate(value, value, value)
    freedom = variance**2 / math.fsum(
        part**2 / (len(values) - 1) for part, (_, values) in zip(parts, terms, strict=True)
    )
    return _within(value, _quantile(freedom) * math.sqrt(variance), least, most)


def _within(value: float, half: float, least: float, most: float) -> Estimate:
    return Estimate(value, max(least, value - half), min(most, value + half))


def _quantile(freedom: float) -> float:
    """Return the two-sided quantile of Student's t at the level `CONFIDENCE`."""
    # SciPy takes a second to import, which a command's --help need not wait for.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def exact(value: float) -> list[float]:
    """Return a value without spread, such as a published one, as a sample."""
    return [value, value]


def accuracy(values: Sequence[float]) -> Estimate:
    """Return the mean accuracy of networks, in percent."""
    return weighted_sum([(1.0, values)], 0.0, 100.0)


def random_set(of_random: Sequence[float]) -> Estimate:
    """Return the mean accuracy of random images, and an interval for the mean accuracy of one random set.

    The interval is Student's prediction interval for one more network on another random set. The mean of any
    number of networks on one random set varies no more than that of a single network.

    Args:
        of_random: accuracies of networks that are each trained on other random images, in percent.
    """
    value, number = _mean(of_random), len(of_random)
    if number < 2:
        return Estimate(value, None, None)
    spread = math.sqrt(_variance(of_random) * (1 + 1 / number))
    return _within(value, _quantile(number - 1) * spread, 0.0, 100.0)


def gain(of_set: Sequence[float], of_random: Sequence[float]) -> Estimate:
    """Return the improvement over random (IOR), in percentage points.

    Args:
        of_set: accuracies of networks trained on the set, in percent.
        of_random: accuracies of networks trained on equally many random real images by the same recipe.
    """
    return weighted_sum([(1.0, of_set), (-1.0, of_random)], -100.0, 100.0)


def recovery(of_whole: Sequence[float], of_hard: Sequence[float]) -> Estimate:
    """Return the hard-label recovery (HLR), in percentage points: the loss relative to the whole set.

    Args:
        of_whole: accuracies of networks trained on the whole set, in percent.
        of_hard: accuracies of networks trained on the set with hard labels.
    """
    return weighted_sum([(1.0, of_whole), (-1.0, of_hard)], -100.0, 100.0)


def label_robust(
    of_set: Sequence[float],
    of_hard: Sequence[float],
    of_random: Sequence[float],
    of_whole: Sequence[float],
) -> Estimate:
    """Return the label-robust score (LRS), 0 to 100: normalized w * IOR - (1 - w) * HLR, w `WEIGHT`.

    Args:
        of_set: accuracies of networks trained on the set with its own labels, in percent.
        of_hard: accuracies with hard labels, with equal seeds at equal indices; the same as ``of_set`` if the
            labels are hard.
        of_random: see `gain`.
        of_whole: see `recovery`.
    """
    return _score([(1.0, _mixed(of_set, of_hard)), (-WEIGHT, of_random), (WEIGHT - 1, of_whole)])


def augmentation_robust(
    of_set: Sequence[float],
    of_random: Sequence[float],
    plain_set: Sequence[float],
    plain_random: Sequence[float],
) -> Estimate:
    """Return the augmentation-robust score (ARS), 0 to 100: the normalized mean gain with and without it.

    Args:
        of_set: accuracies of networks trained on the set with augmentation, in percent.
        of_random: accuracies of networks trained on random real images with augmentation.
        plain_set: as ``of_set``, without augmentation, with equal seeds at equal indices.
        plain_random: as ``of_random``, without augmentation, with the same images at equal indices.
    """
    return _score([(1.0, _mixed(of_set, plain_set)), (-1.0, _mixed(of_random, plain_random))])


def normalized(points: float) -> float:
    """Return (e^a - e^-1) / (e - e^-1) in percent, where a is ``points`` / 100."""
    return 100 * (math.exp(points / 100) - math.exp(-1)) / (math.e - math.exp(-1))


def _mixed(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the weighted means of the values of equal seeds; ``first`` has the weight `WEIGHT`."""
    return [WEIGHT * a + (1 - WEIGHT) * b for a, b in zip(first, second, strict=True)]


def _score(terms: Sequence[tuple[float, Sequence[float]]]) -> Estimate:
    return weighted_sum(terms, -100.0, 100.0).mapped(normalized)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
