"""Figures of synthetic images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from condensery.errors import CondenseryError
from condensery.experiment.catalog import find
from condensery.experiment.target_kinds import Images
from condensery.progress import duration
from condensery.reporting.drawing import STYLE, Drawing
from condensery.reporting.labels import Labels
from condensery.reporting.layout import VERSIONS, distinct, versions_text
from condensery.synthetic import SyntheticSet

MOST_CLASSES = 20
"""Largest number of classes of which a panel shows all, ..."""
FIRST_CLASSES = 10
"""... and the number of classes that it shows of a set with more."""
MOST_COLUMNS = 10
"""Largest number of images per class in a panel."""

_COORDINATES = ("protocol", "dataset", "method", "network", "ipc", "seed")
_PANELS_A_ROW = 3
# In device pixels.
_DPI = 200
_TILE, _TITLE, _MARGIN, _NARROWEST, _LETTER = 96, 150, 20, 780, 23
# In image pixels; smaller images are enlarged to about this size, so that gaps look alike.
_GAP, _COMMON_SIDE = 2, 32


def build(
    name: str, sets: Sequence[SyntheticSet], labels: Labels, rows: pd.DataFrame | None = None
) -> Drawing:
    """Show the synthetic images with the normalization undone, one panel per set.

    Args:
        name: name of the figure.
        sets: the synthetic sets, in the order of the panels.
        labels: names for readers.
        rows: rows of networks trained on the sets, as `rows.read_rows` returns them, for the caption.

    Raises:
        CondenseryError: the figure is unknown, there are no sets, or a set is of another protocol or has no
            provenance.
    """
    target = find(Images, name)
    if not sets:
        raise CondenseryError(f"no synthetic sets for {name}; give the files of its sets")
    for each in sets:
        experiment = _experiment(each)
        if experiment["protocol"] != labels.protocol:
            raise CondenseryError(
                f"{each.source}: made under protocol {experiment['protocol']!r}, not {labels.protocol!r}; "
                "give sets of one protocol"
            )
    with mpl.rc_context(STYLE):
        tiles = [_tiles(each) for each in sets]
        figure = _panels(sets, tiles, labels)
    shortened = sum(
        len(rows) < len(each.classes) or sum(map(len, rows)) < len(each)
        for each, rows in zip(sets, tiles, strict=True)
    )
    caption = [
        labels.sentence(),
        f"n: {len(sets)} synthetic {'set' if len(sets) == 1 else 'sets'}; rows are classes, "
        "pixels are clipped to the display range.",
        "Of a set with many classes or images only the first are shown." if shortened else "",
        _origin(sets),
        _evaluated(rows) if rows is not None else "",
    ]
    return Drawing(figure, target.title, " ".join(part for part in caption if part))


def _experiment(synthetic: SyntheticSet) -> Mapping[str, Any]:
    """Return the coordinates of a set: protocol, dataset, method, network, ipc, seed."""
    return synthetic.experiment(*_COORDINATES)


def _origin(sets: Sequence[SyntheticSet]) -> str:
    """Return a sentence with the precision and the versions that the sets were condensed with.

    Sets do not record machine or time, so that equal sets are equal files on every machine.
    """
    precisions = distinct(str(each.provenance.get("precision", "unknown precision")) for each in sets)
    versions = [each.provenance.get("versions", {}) for each in sets]
    known = {name: [str(each[name]) for each in versions if name in each] for name in VERSIONS}
    return (
        f"Condensed in {precisions}, {versions_text(known)}; sets do not record their machine or their time."
    )


def _evaluated(rows: pd.DataFrame) -> str:
    """Return a sentence about the networks trained on the sets: number, time, device and precision."""
    seconds = math.fsum(rows["train_seconds"]) + math.fsum(rows["test_seconds"])
    return (
        f"{len(rows)} networks were trained on them and tested in {duration(seconds)} on "
        f"{distinct(sorted(rows['device']))}, {distinct(sorted(rows['precision']))}."
    )


def _tiles(synthetic: SyntheticSet) -> list[np.ndarray]:
    """Return the images to show, one list per class: (n, H, W, 3) in [0, 1], in the order of the set."""
    images = synthetic.unit_images().cpu().numpy().transpose(0, 2, 3, 1)
    images = np.broadcast_to(images, (*images.shape[:3], 3))
    belongs = synthetic.class_indices.cpu().numpy()
    classes = len(synthetic.classes)
    shown = classes if classes <= MOST_CLASSES else FIRST_CLASSES
    return [images[belongs == index][:MOST_COLUMNS] for index in range(shown)]


def _panels(sets: Sequence[SyntheticSet], tiles: Sequence[list[np.ndarray]], labels: Labels) -> Figure:
    """Lay panels out row by row; every image pixel covers a whole number of device pixels."""
    mosaics = [_mosaic(panel) for panel in tiles]
    zooms = [max(1, round(_TILE / _side(panel))) for panel in tiles]
    widths = [zoom * mosaic.shape[1] for zoom, mosaic in zip(zooms, mosaics, strict=True)]
    heights = [zoom * mosaic.shape[0] for zoom, mosaic in zip(zooms, mosaics, strict=True)]
    rows = [
        range(first, min(first + _PANELS_A_ROW, len(sets))) for first in range(0, len(sets), _PANELS_A_ROW)
    ]
    across = max(sum(_names(sets[i]) + max(widths[i], _NARROWEST) for i in row) for row in rows) + _MARGIN
    down = sum(_TITLE + max(heights[i] for i in row) for row in rows) + _MARGIN
    figure = Figure(figsize=(across / _DPI, down / _DPI), dpi=_DPI, facecolor="white")
    top = down
    for row in rows:
        left = 0
        top -= _TITLE
        for i in row:
            left += _names(sets[i])
            box = (left / across, (top - heights[i]) / down, widths[i] / across, heights[i] / down)
            _panel(figure.add_axes(box), mosaics[i], sets[i], tiles[i], labels)
            left += max(widths[i], _NARROWEST)
        top -= max(heights[i] for i in row)
    return figure


def _names(synthetic: SyntheticSet) -> int:
    """Return the width that the names of the classes take, in device pixels."""
    return _LETTER * (1 + max(map(len, map(_shortened, synthetic.classes))))


def _shortened(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}\N{HORIZONTAL ELLIPSIS}"


def _mosaic(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Join the images of a panel, one line per class, with white gaps: (height, width, 3) in [0, 1]."""
    side = _side(tiles)
    wide = tiles[0].shape[2] * side // tiles[0].shape[1]
    enlarge = side // tiles[0].shape[1]
    columns = max(1, *map(len, tiles))
    shape = (len(tiles) * (side + _GAP) - _GAP, columns * (wide + _GAP) - _GAP, 3)
    mosaic = np.ones(shape, dtype=np.float32)
    for row, images in enumerate(tiles):
        for column, image in enumerate(images):
            y, x = row * (side + _GAP), column * (wide + _GAP)
            mosaic[y : y + side, x : x + wide] = image.repeat(enlarge, axis=0).repeat(enlarge, axis=1)
    return mosaic


def _side(tiles: Sequence[np.ndarray]) -> int:
    """Return the height of one image in the mosaic."""
    height = tiles[0].shape[1]
    return height * max(1, _COMMON_SIDE // height)


def _panel(
    axes: Axes, mosaic: np.ndarray, synthetic: SyntheticSet, tiles: Sequence[np.ndarray], labels: Labels
) -> None:
    rows, columns = len(tiles), max(map(len, tiles))
    axes.imshow(mosaic, interpolation="nearest", vmin=0, vmax=1, aspect="auto")
    side = (mosaic.shape[0] + _GAP) / rows
    centers = [side * (row + 0.5) - _GAP / 2 - 0.5 for row in range(rows)]
    axes.set_yticks(centers, map(_shortened, synthetic.classes[:rows]), fontsize=13)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    experiment = _experiment(synthetic)
    method = labels.method(experiment["method"])
    per_class = f"{experiment['ipc']} {'image' if experiment['ipc'] == 1 else 'images'}/class"
    axes.set_title(
        f"{labels.dataset(experiment['dataset'])}, {method}, {per_class}\n",
        fontsize=13,
        loc="left",
        fontweight="bold",
    )
    detail = f"protocol {experiment['protocol']}, {experiment['network']}, seed {experiment['seed']}"
    if rows < len(synthetic.classes):
        detail += f", classes 1 to {rows} of {len(synthetic.classes)}"
    if columns < experiment["ipc"]:
        detail += f", images 1 to {columns} of {experiment['ipc']}"
    axes.annotate(
        detail,
        (0, 1),
        (0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=10,
        color="0.35",
    )
