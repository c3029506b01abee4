"""The figures by name, and how a figure is written so that equal content gives equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from condensery.checkpoint import atomic
from condensery.errors import CondenseryError
from condensery.reporting.labels import Labels
from condensery.reporting.layout import distinct, time
from condensery.synthetic import SyntheticSet

MOST_CLASSES = 20
FIRST_CLASSES = 10
MOST_COLUMNS = 10
_TILE_INCHES = 0.42
_NAME_INCHES = 1.05
_TITLE_INCHES = 0.55
_PANELS_A_ROW = 3
_GAP = 2
# Type 42 keeps the text of the PDF searchable; no dates, so that equal figures are equal files.
_STYLE = {"font.family": "DejaVu Sans", "pdf.fonttype": 42}


@dataclass(frozen=True)
class Drawing:
    """A finished figure with its title and its caption, which also travel inside the files."""

    figure: Figure
    title: str
    caption: str

    def write(self, prefix: Path) -> None:
        """Write prefix.png and prefix.pdf, each atomically."""
        png = {"Title": self.title, "Description": self.caption, "Software": None}
        pdf = {
            "Title": self.title,
            "Subject": self.caption,
            "CreationDate": None,
            "Creator": None,
            "Producer": None,
        }
        with mpl.rc_context(_STYLE):
            with atomic(prefix.with_name(prefix.name + ".png")) as temporary:
                FigureCanvasAgg(self.figure).print_png(
                    temporary, metadata=png, pil_kwargs={"compress_level": 9}
                )
            with atomic(prefix.with_name(prefix.name + ".pdf")) as temporary:
                FigureCanvasPdf(self.figure).print_pdf(temporary, metadata=pdf)


def build(name: str, sets: Sequence[SyntheticSet], labels: Labels) -> Drawing:
    """Build a figure.

    Args:
        name: which figure.
        sets: the synthetic sets that it shows, in the order of its panels.
        labels: names for readers.

    Raises:
        CondenseryError: no such figure, no sets, or a set of another protocol or without provenance.
    """
    if name not in FIGURES:
        raise CondenseryError(f"figure {name!r} is unknown; choose from {', '.join(FIGURES)}")
    if not sets:
        raise CondenseryError(f"no synthetic sets for {name}; give the files of its sets")
    for each in sets:
        missing = [
            key for key in ("protocol", "dataset", "method", "ipc", "seed") if key not in each.provenance
        ]
        if missing:
            raise CondenseryError(
                f"{each.source}: its provenance lacks {', '.join(missing)}; condense it with scripts/condense.py"
            )
        if each.provenance["protocol"] != labels.protocol:
            raise CondenseryError(
                f"{each.source}: made under protocol {each.provenance['protocol']!r}, not {labels.protocol!r}; "
                "give sets of one protocol"
            )
    return FIGURES[name](sets, labels)


def _figure2(sets: Sequence[SyntheticSet], labels: Labels) -> Drawing:
    """DM Figure 2: the synthetic images as a person wants to see them, one panel a set."""
    with mpl.rc_context(_STYLE):
        tiles = [_tiles(each) for each in sets]
        figure = _panels(sets, tiles, labels)
    title = "Figure 2: synthetic images"
    shortened = sum(
        len(rows) < len(each.classes) or sum(map(len, rows)) < len(each)
        for each, rows in zip(sets, tiles, strict=True)
    )
    caption = [
        labels.sentence(),
        f"n: {len(sets)} synthetic {'set' if len(sets) == 1 else 'sets'}; rows are classes, "
        "pixels are clipped to the display range.",
        "Only the first classes or images of a set are shown where it has many." if shortened else "",
        _made(sets),
    ]
    return Drawing(figure, title, " ".join(part for part in caption if part))


def _made(sets: Sequence[SyntheticSet]) -> str:
    """Say where the sets were made and how long it took, as far as they know it."""
    known = [each.provenance for each in sets]
    devices = distinct(str(each["device"]) for each in known if "device" in each)
    precisions = distinct(str(each["precision"]) for each in known if "precision" in each)
    where = ", ".join(part for part in (devices, precisions) if part)
    seconds = sum(float(each.get("seconds", 0)) for each in known)
    spent = f" in {time(seconds)}" if seconds else ""
    return f"Condensed on {where}{spent}." if where else f"Condensed{spent}." if spent else ""


def _tiles(synthetic: SyntheticSet) -> list[np.ndarray]:
    """Return the images to show, a class each: (n, H, W, 3) in [0, 1], in the order of the set."""
    images = synthetic.unit_images().cpu().numpy().transpose(0, 2, 3, 1)
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    belongs = synthetic.class_indices.cpu().numpy()
    classes = len(synthetic.classes)
    shown = classes if classes <= MOST_CLASSES else FIRST_CLASSES
    return [images[belongs == index][:MOST_COLUMNS] for index in range(shown)]


def _panels(sets: Sequence[SyntheticSet], tiles: Sequence[list[np.ndarray]], labels: Labels) -> Figure:
    """Lay panels out row by row, every image of one size, so that panels of one height align."""
    rows = [
        range(start, min(start + _PANELS_A_ROW, len(sets))) for start in range(0, len(sets), _PANELS_A_ROW)
    ]
    widths = [max(2.4, _TILE_INCHES * max(1, *map(len, panel))) for panel in tiles]
    heights = [_TILE_INCHES * len(panel) for panel in tiles]
    width = max(sum(widths[i] + _NAME_INCHES for i in row) for row in rows) + 0.1
    height = sum(max(heights[i] for i in row) + _TITLE_INCHES for row in rows) + 0.1
    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    top = height
    for row in rows:
        left = 0.0
        top -= _TITLE_INCHES
        for i in row:
            left += _NAME_INCHES
            mosaic = _mosaic(tiles[i])
            # The axes take the mosaic's own shape: imshow would centre it in any other.
            across = heights[i] * mosaic.shape[1] / mosaic.shape[0]
            axes = figure.add_axes(
                (left / width, (top - heights[i]) / height, across / width, heights[i] / height)
            )
            _panel(axes, mosaic, sets[i], len(tiles[i]), labels)
            left += widths[i]
        top -= max(heights[i] for i in row)
    return figure


def _mosaic(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Join the images of a panel, one line a class, with white gaps: (rows, columns, 3) in [0, 1]."""
    side = next((panel.shape[1:3] for panel in tiles), (1, 1))
    columns = max(1, *map(len, tiles))
    step = (side[0] + _GAP, side[1] + _GAP)
    mosaic = np.ones((len(tiles) * step[0] - _GAP, columns * step[1] - _GAP, 3), dtype=np.float32)
    for row, images in enumerate(tiles):
        for column, image in enumerate(images):
            y, x = row * step[0], column * step[1]
            mosaic[y : y + side[0], x : x + side[1]] = image
    return mosaic


def _panel(axes: Axes, mosaic: np.ndarray, synthetic: SyntheticSet, rows: int, labels: Labels) -> None:
    axes.imshow(mosaic, interpolation="nearest", vmin=0, vmax=1, aspect="auto")
    side = (mosaic.shape[0] + _GAP) / rows
    names = [
        name if len(name) <= 14 else f"{name[:13]}\N{HORIZONTAL ELLIPSIS}"
        for name in synthetic.classes[:rows]
    ]
    axes.set_yticks([side * (row + 0.5) - _GAP / 2 - 0.5 for row in range(rows)], names, fontsize=7)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    made = synthetic.provenance
    method = labels.method(made["method"])
    axes.set_title(
        f"{made['dataset']}, {method}, {made['ipc']} {'image' if made['ipc'] == 1 else 'images'}/class\n",
        fontsize=8.5,
        loc="left",
        fontweight="bold",
    )
    detail = f"protocol {made['protocol']}, seed {made['seed']}"
    if rows < len(synthetic.classes):
        detail += f", classes 1 to {rows} of {len(synthetic.classes)}"
    axes.annotate(
        detail,
        (0, 1),
        (0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=6.5,
        color="0.35",
    )


FIGURES: dict[str, Callable[[Sequence[SyntheticSet], Labels], Drawing]] = {"figure2": _figure2}
"""Every figure by name."""
