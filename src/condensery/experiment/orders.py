"""The order of the classes in continual learning, and the classes of each step."""

from __future__ import annotations

import numpy as np

from condensery.errors import CondenseryError


def class_order(seed: int, classes: int) -> tuple[int, ...]:
    """Return a random order of the classes, drawn by NumPy's legacy generator with this seed.

    The authors' public code seeds NumPy with 0 to 4 and permutes the 100 classes. NumPy guarantees the output
    of this generator, so these are the orders of the papers.
    """
    return tuple(int(c) for c in np.random.RandomState(seed).permutation(classes))


def step_classes(seed: int, classes: int, steps: int) -> tuple[tuple[int, ...], ...]:
    """Return the new classes of every step in ascending order: consecutive groups of equal size of the order.

    Args:
        seed: the seed of the order, see `class_order`.
        classes: number of classes.
        steps: number of steps, a divisor of ``classes``.

    Raises:
        CondenseryError: the classes cannot be divided evenly into that many groups.
    """
    if not 0 < steps <= classes or classes % steps:
        raise CondenseryError(f"{classes} classes cannot be split evenly into {steps} steps: give a divisor")
    order, size = class_order(seed, classes), classes // steps
    return tuple(tuple(sorted(order[first : first + size])) for first in range(0, classes, size))
