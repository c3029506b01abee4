"""One color and one marker for each method, in every figure, and colors for classes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import NamedTuple

from condensery.experiment.targets import WHOLE


class Style(NamedTuple):
    """The style of a method: a Matplotlib color and a marker."""

    color: str
    marker: str


# These differ under any common color blindness (Wong 2011, Nature Methods 8, 441). Methods that share a color
# differ in their markers.
BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, RED, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"

_STYLES = {
    WHOLE: Style(BLACK, "_"),
    "random": Style("#7f7f7f", "o"),
    "herding": Style(SKY, "s"),
    "forgetting": Style(PURPLE, "v"),
    "kcenter": Style(ORANGE, "P"),
    "dc": Style(GREEN, "^"),
    "dsa": Style(BLUE, "D"),
    "dm": Style(RED, "o"),
    "mmd": Style(PURPLE, "X"),
    "gmmn": Style(ORANGE, "<"),
    "vae": Style(GREEN, ">"),
    "biggan": Style(SKY, "h"),
    "dd": Style(ORANGE, "d"),
    "ld": Style(GREEN, "p"),
}
_CLASSES = (SKY, ORANGE, BLACK, PURPLE, GREEN, BLUE, RED, YELLOW)
_OTHERS = tuple(Style(color, marker) for marker in "*8" for color in (PURPLE, ORANGE, SKY, GREEN, BLUE, RED))


def style(method: str, methods: list[str]) -> Style:
    """Return the style of a method; methods without a fixed style get one by their order.

    Args:
        method: name of the method.
        methods: all methods of the figure, in the order of their titles.
    """
    if method in _STYLES:
        return _STYLES[method]
    others = [name for name in methods if name not in _STYLES]
    return _OTHERS[others.index(method) % len(_OTHERS)]


def class_colors(classes: Iterable[str]) -> dict[str, str]:
    """Return a color for each class, in their order; beyond eight classes they repeat."""
    return dict(zip(classes, cycle(_CLASSES)))
