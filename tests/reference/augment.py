"""The six augmentations of DSA on one image, pixel by pixel.

An image is a float64 array (C, H, W); the parameters are one row of numbers, as
`condensery.augmentation.siamese` names them. Nothing here is shared with the library.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def color(image: np.ndarray, u_brightness: float, u_saturation: float, u_contrast: float) -> np.ndarray:
    """Brightness, then saturation about each pixel's gray value, then contrast about the image's mean."""
    image = image + (u_brightness - 0.5) * 1.0
    out = np.empty_like(image)
    for i, j in np.ndindex(image.shape[1:]):
        gray = sum(image[:, i, j]) / image.shape[0]
        for c in range(image.shape[0]):
            out[c, i, j] = (image[c, i, j] - gray) * (u_saturation * 2.0) + gray
    mean = out.sum() / out.size
    return (out - mean) * (u_contrast + 0.5) + mean


def crop(image: np.ndarray, down: float, right: float) -> np.ndarray:
    """Shift the image; pixels from outside are 0."""
    _, height, width = image.shape
    out = np.zeros_like(image)
    for i, j in np.ndindex(height, width):
        if 0 <= i + down < height and 0 <= j + right < width:
            out[:, i, j] = image[:, int(i + down), int(j + right)]
    return out


def cutout(image: np.ndarray, row: float, column: float) -> np.ndarray:
    """Set the pixels of a square to 0; positions beyond the border are moved onto the border."""
    _, height, width = image.shape
    tall, wide = int(0.5 * height + 0.5), int(0.5 * width + 0.5)
    out = image.copy()
    for a, b in np.ndindex(tall, wide):
        i = min(max(a + int(row) - tall // 2, 0), height - 1)
        j = min(max(b + int(column) - wide // 2, 0), width - 1)
        out[:, i, j] = 0
    return out


def flip(image: np.ndarray, u: float) -> np.ndarray:
    """Mirror left and right if ``u`` is in the lower half of its range."""
    return image[:, :, ::-1] if u < 0.5 else image


def scale(image: np.ndarray, s_x: float, s_y: float) -> np.ndarray:
    """Take each pixel from the position s times as far from the center."""
    return _resample(image, lambda x, y: (s_x * x, s_y * y))


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Take each pixel from the position that theta = [[cos, -sin], [sin, cos]] maps its own position to."""
    angle = degrees / 180 * math.pi
    cos, sin = math.cos(angle), math.sin(angle)
    return _resample(image, lambda x, y: (cos * x - sin * y, sin * x + cos * y))


def _resample(image: np.ndarray, source: Callable[[float, float], tuple[float, float]]) -> np.ndarray:
    _, height, width = image.shape
    out = np.zeros_like(image)
    for i, j in np.ndindex(height, width):
        x, y = source(j - (width - 1) / 2, i - (height - 1) / 2)
        out[:, i, j] = _bilinear(image, y + (height - 1) / 2, x + (width - 1) / 2)
    return out


def _bilinear(image: np.ndarray, row: float, column: float) -> np.ndarray:
    channels, height, width = image.shape
    value = np.zeros(channels)
    top, left = math.floor(row), math.floor(column)
    for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= i < height and 0 <= j < width:
            value += (1 - abs(row - i)) * (1 - abs(column - j)) * image[:, i, j]
    return value
