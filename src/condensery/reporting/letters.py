"""Letters that the font of the figures lacks, such as those of Chinese class names."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

log = logging.getLogger(__name__)

_PLACEHOLDERS = "Last Resort"
"""A font that comes with Matplotlib: a box for every letter."""


def complete(figure: Figure, family: str) -> None:
    """Add fonts of this machine to the texts of a figure for the letters that their font lacks.

    Letters that no font has are drawn as boxes, and listed in one line of the log.

    Args:
        figure: the figure, whose texts are changed in place.
        family: the font of the texts.
    """
    texts = figure.findobj(Text)
    letters = {letter for text in texts for letter in text.get_text() if letter.isprintable()}
    known = _letters_of(font_manager.findfont(family))
    missing = {letter for letter in letters if ord(letter) not in known}
    if not missing:
        return
    further = []
    left = set(missing)
    for entry in sorted(font_manager.fontManager.ttflist, key=_rank):
        if not left:
            break
        if entry.name == family or entry.name.startswith(_PLACEHOLDERS) or entry.name in further:
            continue
        held = {letter for letter in left if ord(letter) in _letters_of(entry.fname)}
        if held:
            further.append(entry.name)
            left -= held
    for text in texts:
        if missing & set(text.get_text()):
            text.set_fontfamily([family, *further])
    if left:
        log.warning(
            "no font here has the letters %s, drawn as boxes: install one that has, such as Noto Sans CJK",
            "".join(sorted(left))[:40],
        )


def _rank(entry: font_manager.FontEntry) -> tuple[bool, bool, str, str]:
    """Sort key of fonts: regular sans-serif ones first, then by name, so that equal machines draw alike."""
    return entry.style != "normal" or entry.weight != 400, "Sans" not in entry.name, entry.name, entry.fname


def _letters_of(path: str) -> Iterable[int]:
    return font_manager.get_font(path).get_charmap().keys()
