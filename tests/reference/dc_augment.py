"""The augmentation of DC's evaluation on one image, as its authors describe and compute it.

An image is a float64 array (C, H, W). Nothing here is shared with the library.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def crop(image: np.ndarray, down: int, right: int, fill: Sequence[float]) -> np.ndarray:
    """Pad by four pixels with the fill value of each channel and cut a window out."""
    padded = np.pad(image, ((0, 0), (4, 4), (4, 4)))
    padded[:] = np.asarray(fill)[:, None, None]
    _, height, width = image.shape
    padded[:, 4:-4, 4:-4] = image
    return padded[:, down + 4 : down + 4 + height, right + 4 : right + 4 + width]


def scale(image: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """Resize to the nearest pixel, center the result on a black canvas, and cut the center out."""
    channels, height, width = image.shape
    side = max(tall, wide, height, width)
    canvas = np.zeros((channels, side, side))
    top, left = (side - tall) // 2, (side - wide) // 2
    for i, j in np.ndindex(tall, wide):
        canvas[:, top + i, left + j] = image[:, i * height // tall, j * width // wide]
    top, left = (side - height) // 2, (side - width) // 2
    return canvas[:, top : top + height, left : left + width]


def rotate(image: np.ndarray, degrees: float, fill: float) -> np.ndarray:
    """Rotate with SciPy, which enlarges the canvas, and cut the center out."""
    _, height, width = image.shape
    turned = ndimage.rotate(image, degrees, axes=(-2, -1), cval=fill)
    top, left = (turned.shape[1] - height) // 2, (turned.shape[2] - width) // 2
    return turned[:, top : top + height, left : left + width]
