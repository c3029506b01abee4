"""The figures of a score, from the accuracies of networks, each with an interval.

HLR, IOR, LRS and ARS are those of DD-Ranking (arXiv 2505.13300), of accuracies as fractions. Each is an
increasing function of a weighted sum of mean accuracies, so that its interval is that of the sum, mapped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""Of every interval."""
WEIGHT = 0.5
"""Of the gain in LRS, and of training with augmentation in ARS, as on DD-Ranking's leaderboard."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval, whose ends are None where one of its means is of a single network."""

    value: float
    low: float | None
    high: float | None

    def mapped(self, function: Callable[[float], float]) -> Estimate:
        """Return an increasing function of the figure, with its interval."""
        low, high = (None if end is None else function(end) for end in (self.low, self.high))
        return Estimate(function(self.value), low, high)


def weighted_sum(terms: Sequence[tuple[float, Sequence[float]]], least: float, most: float) -> Estimate:
    """Return a weighted sum of means of independent samples.

    The interval is Student's t with the degrees of freedom of Welch and Satterthwaite; of a single sample of
    n values it is the usual one with n - 1.

    Args:
        terms: weight and values of each sample; values of one sample are independent of each other too.
        least: the smallest sum that can be; an interval ends there.
        most: the largest.
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
    """Return Student's t that `CONFIDENCE` of all values are within."""
    # SciPy takes a second to import, which a command's --help need not wait for.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def exact(value: float) -> list[float]:
    """Return a value that has no spread, such as a published one, as a sample."""
    return [value, value]


def accuracy(values: Sequence[float]) -> Estimate:
    """Return the mean accuracy of networks, in percent."""
    return weighted_sum([(1.0, values)], 0.0, 100.0)


def random_set(of_random: Sequence[float]) -> Estimate:
    """Return the mean accuracy of random images, and where that of one set of them is to be expected.

    Networks on one random set differ less than networks that each have another, so that the mean of any
    number of them is within Student's interval for one more value, or in a narrower one.

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
        of_random: of networks trained on random real images, as many, by the same recipe.
    """
    return weighted_sum([(1.0, of_set), (-1.0, of_random)], -100.0, 100.0)


def recovery(of_whole: Sequence[float], of_hard: Sequence[float]) -> Estimate:
    """Return the hard-label recovery (HLR), in percentage points: what is lost against the whole set.

    Args:
        of_whole: accuracies of networks trained on the whole set, in percent.
        of_hard: of networks trained on the set with hard labels.
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
        of_hard: of those with hard labels, equal seeds in equal places; the same values if labels are hard.
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
    """Return the augmentation-robust score (ARS), 0 to 100: normalized mean of the gains with and without.

    Args:
        of_set: accuracies of networks trained on the set with augmentation, in percent.
        of_random: of networks trained on random real images with it.
        plain_set: as ``of_set`` without augmentation, of equal seeds in equal places.
        plain_random: as ``of_random`` without augmentation, on the same images in equal places.
    """
    return _score([(1.0, _mixed(of_set, plain_set)), (-1.0, _mixed(of_random, plain_random))])


def normalized(points: float) -> float:
    """Return (e^a - e^-1) / (e - e^-1) in percent, where a are these percentage points as a fraction."""
    return 100 * (math.exp(points / 100) - math.exp(-1)) / (math.e - math.exp(-1))


def _mixed(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the weighted means of values of equal seeds, of which the first has `WEIGHT`."""
    return [WEIGHT * a + (1 - WEIGHT) * b for a, b in zip(first, second, strict=True)]


def _score(terms: Sequence[tuple[float, Sequence[float]]]) -> Estimate:
    return weighted_sum(terms, -100.0, 100.0).mapped(normalized)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
