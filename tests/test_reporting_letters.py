"""Names in any script: drawn if a font of the machine has their letters, otherwise one warning."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from condensery.reporting.drawing import STYLE, Drawing

ARC = "\N{ARC}"  # in the STIX fonts of Matplotlib, not in DejaVu Sans


def drawn(text: str, tmp_path: Path) -> np.ndarray:
    """Write a figure of a text, as png and pdf, and return its pixels."""
    with mpl.rc_context(STYLE):
        figure = Figure((1, 1), dpi=72)
        figure.text(0.3, 0.5, text)
    Drawing(figure, "title", "caption").write(tmp_path / "figure")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.filterwarnings("error")
def test_a_letter_is_drawn_in_a_font_that_has_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with mpl.rc_context({**STYLE, "font.family": "STIXGeneral"}):
        wanted = Figure((1, 1), dpi=72)
        wanted.text(0.3, 0.5, ARC)
    canvas = FigureCanvasAgg(wanted)
    canvas.draw()
    here = font_manager.fontManager.ttflist
    only = [entry for entry in here if entry.name in ("DejaVu Sans", "STIXGeneral")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(font_manager.fontManager, "ttflist", only)
        assert np.array_equal(drawn(ARC, tmp_path), np.asarray(canvas.buffer_rgba()))
    assert not caplog.records


@pytest.mark.filterwarnings("error")
def test_letters_that_no_font_has_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = [entry for entry in font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", only)
    figure = Figure((1, 1), dpi=72)
    figure.text(0, 0.2, "白い 花")
    figure.text(0, 0.6, "花 and ñ")
    Drawing(figure, "title", "caption").write(tmp_path / "figure")
    (record,) = caplog.records
    assert "no font here has the letters い白花" in record.getMessage()
