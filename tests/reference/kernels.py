"""Kernels and the maximum mean discrepancy, pair by pair in float64, from their formulas."""

from __future__ import annotations

import numpy as np


def value(name: str, x: np.ndarray, y: np.ndarray, setting: float) -> float:
    """Return a kernel's value for two vectors; ``setting`` is the degree or the width."""
    if name == "linear":
        return float(np.dot(x, y))
    if name == "polynomial":
        return float(len(x) / setting * (np.dot(x, y) / len(x) + 1) ** setting)
    if name == "rbf":
        return float(setting**2 * np.exp(-np.sum((x - y) ** 2) / (2 * setting**2)))
    return float(setting * np.exp(-np.sum(np.abs(x - y)) / setting))


def mmd_squared(name: str, x: np.ndarray, y: np.ndarray, setting: float) -> float:
    """Return the biased estimate: means over all pairs, including each image with itself."""

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([[value(name, p, q, setting) for q in b] for p in a]))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)
