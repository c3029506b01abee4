"""Writing figures, so that equal content gives equal bytes."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from condensery.files import atomic
from condensery.reporting import letters

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType  # of matplotlib 3.11

# Type 42 keeps the text of the PDF searchable. No dates, so that equal figures are equal files. A $ in the
# name of a method or a class does not start a formula.
FAMILY = "DejaVu Sans"
STYLE: dict[RcKeyType, Any] = {"font.family": FAMILY, "pdf.fonttype": 42, "text.parse_math": False}


def heading(what: str, protocol: str, n: str) -> str:
    """Return the heading of a panel.

    Args:
        what: the content of the panel.
        protocol: name of the protocol.
        n: the numbers of sets and networks, or of images, as a text.
    """
    return f"{what}, protocol {protocol}, n = {n}"


@dataclass(frozen=True)
class Drawing:
    """A finished figure with its title and its caption, which are also stored in the files."""

    figure: Figure
    title: str
    caption: str

    def write(self, prefix: Path) -> None:
        """Write prefix.png and prefix.pdf, each atomically."""
        # fontTools logs every glyph that it puts into the PDF.
        logging.getLogger("fontTools").setLevel(logging.WARNING)
        png = {"Title": self.title, "Description": self.caption, "Software": None}
        pdf = {
            "Title": self.title,
            "Subject": self.caption,
            "CreationDate": None,
            "Creator": None,
            "Producer": None,
        }
        with mpl.rc_context(STYLE), warnings.catch_warnings():
            letters.complete(self.figure, FAMILY)
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            with atomic(prefix.with_name(prefix.name + ".png")) as temporary:
                FigureCanvasAgg(self.figure).print_png(
                    temporary, metadata=png, pil_kwargs={"compress_level": 9}
                )
            with atomic(prefix.with_name(prefix.name + ".pdf")) as temporary:
                FigureCanvasPdf(self.figure).print_pdf(temporary, metadata=pdf)
