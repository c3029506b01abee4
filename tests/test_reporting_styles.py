"""Colors and markers of methods: equal in all figures, and distinct for all readers."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest

from condensery.reporting.styles import class_colors, style

# The methods that share a table of the papers.
TOGETHER = ["random", "herding", "forgetting", "kcenter", "dc", "dsa", "dm", "whole"]
# Matrices of Machado, Oliveira and Fernandes 2009, IEEE TVCG 15, 1291: severity 1.0, on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(color: str, vision: str) -> np.ndarray:
    """Return a color in CIE L*a*b* as a reader with this kind of color vision sees it."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(VISION[vision] @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ seen / np.array([0.95047, 1.0, 1.08883])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_methods_differ_in_color_or_marker_for_every_reader(vision: str) -> None:
    for one, other in combinations(TOGETHER, 2):
        first, second = style(one, TOGETHER), style(other, TOGETHER)
        apart = np.linalg.norm(lab(first.color, vision) - lab(second.color, vision))
        assert apart > 10 or first.marker != second.marker, (one, other, apart)


def test_condensed_and_random_differ_in_color_for_every_reader() -> None:
    for vision in VISION:
        for one, other in combinations(["random", "dsa", "dm"], 2):
            colors = (lab(style(name, TOGETHER).color, vision) for name in (one, other))
            assert np.linalg.norm(np.subtract(*colors)) > 20, (vision, one, other)


@pytest.mark.parametrize("vision", VISION)
def test_classes_differ_in_color_for_every_reader(vision: str) -> None:
    colors = class_colors("abc")
    assert list(colors) == ["a", "b", "c"]
    for one, other in combinations(colors.values(), 2):
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > 20
    assert len(class_colors(map(str, range(20)))) == 20


def test_a_method_of_ones_own_has_a_style_that_no_other_has() -> None:
    names = [*TOGETHER, *(f"mine{number}" for number in range(12))]
    assert len({style(name, names) for name in names}) == len(names)
