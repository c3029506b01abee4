"""Corrupted test images, after CIFAR-10-C (Hendrycks and Dietterich 2019, sections 3 and 4).

Kinds and severities are those of the benchmark for 32 x 32 pixels; the lengths of motion, snow and elastic
transform are proportional to the side of the image. The implementation follows the description and draws
other random numbers, so that images differ from the published files: compare only accuracies that are
measured with these images. Frost, photographs in the benchmark, consists of ridges of a fractal here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from condensery import streams
from condensery.errors import CondenseryError

SEVERITIES = range(1, 6)

_SIDE = 32  # pixels, of the images that the benchmark's lengths are for

Array = np.ndarray


def corrupted(images: Tensor, kind: str, severity: int, seed: int = 0) -> Tensor:
    """Return corrupted images.

    Args:
        images: uint8 (N, C, H, W) with one or three channels.
        kind: one of :data:`KINDS`.
        severity: 1 to 5; 0 returns the images unchanged.
        seed: the seed of the random draws, which also depend on the position of the image, but not on the
            batch.

    Raises:
        CondenseryError: the kind or the severity is unknown.
    """
    if kind not in KINDS or not 0 <= severity <= SEVERITIES[-1]:
        raise CondenseryError(f"corruption {kind} {severity}: give one of {', '.join(KINDS)}, and 0 to 5")
    if not severity:
        return images
    change = KINDS[kind]
    result = torch.empty_like(images)
    for position, image in enumerate(images):
        stream = streams.generator(seed, "corruption", kind, severity, position)
        drawn = np.random.default_rng(int(torch.randint(2**62, (), generator=stream)))
        values = change(image.numpy() / 255, severity - 1, drawn)
        result[position] = torch.from_numpy((np.clip(values, 0, 1) * 255).round().astype(np.uint8))
    return result


def _gaussian_noise(image: Array, level: int, drawn: np.random.Generator) -> Array:
    return image + drawn.normal(0, (0.04, 0.06, 0.08, 0.09, 0.10)[level], image.shape)


def _shot_noise(image: Array, level: int, drawn: np.random.Generator) -> Array:
    photons = (500, 250, 100, 75, 50)[level]
    return drawn.poisson(image * photons) / photons


def _impulse_noise(image: Array, level: int, drawn: np.random.Generator) -> Array:
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[level]
    hit = drawn.random(image.shape) < share
    return np.where(hit, drawn.integers(0, 2, image.shape), image)


def _defocus_blur(image: Array, level: int, drawn: np.random.Generator) -> Array:
    radius, softness = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))[level]
    reach = np.arange(-4, 5)
    disk = (np.hypot(*np.meshgrid(reach, reach)) <= radius).astype(float)
    kernel = ndimage.gaussian_filter(disk / disk.sum(), softness, radius=1)
    return np.stack([ndimage.convolve(channel, kernel, mode="mirror") for channel in image])


def _glass_blur(image: Array, level: int, drawn: np.random.Generator) -> Array:
    sigma, times = ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))[level]
    height, width = image.shape[1:]
    flat = _smoothed(image, sigma).reshape(len(image), -1)
    order = list(range(height * width))
    # From the last pixel on, each pixel inside the border is swapped with a neighbor above or to the left.
    places = [row * width + column for row in range(height - 2, 0, -1) for column in range(width - 2, 0, -1)]
    for _ in range(times):
        moves = drawn.integers(-1, 1, (len(places), 2)) @ (width, 1)
        for place, other in zip(places, (places + moves).tolist(), strict=True):
            order[place], order[other] = order[other], order[place]
    return _smoothed(flat[:, order].reshape(image.shape), sigma)


def _smoothed(image: Array, sigma: float) -> Array:
    return np.stack([ndimage.gaussian_filter(channel, sigma) for channel in image])


def _motion_blur(image: Array, level: int, drawn: np.random.Generator) -> Array:
    radius, spread = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[level]
    return _moved(image, radius, spread, math.radians(drawn.uniform(-45, 45)))


def _moved(image: Array, radius: int, spread: float, angle: float) -> Array:
    """Return an image blurred by motion along an angle in radians."""
    scale = image.shape[1] / _SIDE
    steps = np.arange(radius + 1)
    weights = np.exp(-(steps**2) / (2 * spread**2))
    way = scale * np.array([0, math.sin(angle), math.cos(angle)])
    moved = [ndimage.shift(image, step * way, order=1, mode="nearest") for step in steps]
    return np.average(moved, axis=0, weights=weights)


def _zoom_blur(image: Array, level: int, drawn: np.random.Generator) -> Array:
    factors = 1 + 0.01 * np.arange((6, 11, 16, 21, 26)[level])
    height, width = image.shape[1:]
    center = np.array([(height - 1) / 2, (width - 1) / 2])
    zoomed = [image]
    for factor in factors:
        shrink, offset = np.array([1, 1 / factor, 1 / factor]), np.array([0, *(center - center / factor)])
        zoomed.append(ndimage.affine_transform(image, shrink, offset, order=1, mode="nearest"))
    return np.mean(zoomed, axis=0)


def _snow(image: Array, level: int, drawn: np.random.Generator) -> Array:
    mean, deviation, zoom, least, radius, spread, share = (
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    )[level]
    height, width = image.shape[1:]
    small = [math.ceil(side / zoom) for side in (height, width)]
    flakes = ndimage.zoom(drawn.normal(mean, deviation, small), zoom, order=1)
    flakes = np.clip(np.where(flakes < least, 0, flakes), 0, 1)
    rows, columns = flakes.shape
    layer = np.pad(flakes, ((0, max(0, height - rows)), (0, max(0, width - columns))))[:height, :width]
    layer = _moved(layer[None], radius, spread, math.radians(drawn.uniform(45, 135)))
    # The image becomes gray and bright, and flakes fall from both sides.
    bright = np.maximum(image, image.mean(0, keepdims=True) * 1.5 + 0.5)
    return share * image + (1 - share) * bright + layer + layer[:, ::-1, ::-1]


def _frost(image: Array, level: int, drawn: np.random.Generator) -> Array:
    share, amount = ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))[level]
    height, width = image.shape[1:]
    side = 2 ** math.ceil(math.log2(max(height, width, 2)))
    # Crystals grow along the lines at half height of a rough map; they are bluish.
    ridges = (1 - np.abs(2 * _plasma(side, 1.6, drawn)[:height, :width] - 1)) ** 2
    tint = np.array([0.85, 0.95, 1.0] if len(image) == 3 else [0.95])
    return share * image + amount * ridges * tint.reshape(-1, 1, 1)


def _fog(image: Array, level: int, drawn: np.random.Generator) -> Array:
    amount, decay = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[level]
    highest = image.max()
    height, width = image.shape[1:]
    side = 2 ** math.ceil(math.log2(max(height, width, 2)))
    return (image + amount * _plasma(side, decay, drawn)[:height, :width]) * highest / (highest + amount)


def _plasma(side: int, decay: float, drawn: np.random.Generator) -> Array:
    """Return a fractal height map in [0, 1], periodic, (side, side): the diamond-square algorithm."""
    heights = np.zeros((side, side))
    step, rough = side, 100.0
    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        sums = corners + np.roll(corners, -1, 0)
        sums = sums + np.roll(sums, -1, 1)
        heights[half::step, half::step] = sums / 4 + rough * drawn.uniform(-rough, rough, sums.shape)
        middle, corner = heights[half::step, half::step], heights[::step, ::step]
        across = middle + np.roll(middle, 1, 0) + corner + np.roll(corner, -1, 1)
        heights[::step, half::step] = across / 4 + rough * drawn.uniform(-rough, rough, across.shape)
        down = middle + np.roll(middle, 1, 1) + corner + np.roll(corner, -1, 0)
        heights[half::step, ::step] = down / 4 + rough * drawn.uniform(-rough, rough, down.shape)
        step, rough = half, rough / decay
    heights -= heights.min()
    return heights / heights.max()


def _brightness(image: Array, level: int, drawn: np.random.Generator) -> Array:
    value = image.max(0)  # of hue, saturation and value, which alone grows
    brighter = np.clip(value + (0.05, 0.1, 0.15, 0.2, 0.3)[level], 0, 1)
    return np.where(value > 0, image * brighter / np.where(value > 0, value, 1), brighter)


def _contrast(image: Array, level: int, drawn: np.random.Generator) -> Array:
    mean = image.mean((1, 2), keepdims=True)
    return (image - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[level] + mean


def _elastic_transform(image: Array, level: int, drawn: np.random.Generator) -> Array:
    strength, smoothness, skew = np.array(
        [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)][level]
    ) * min(image.shape[1:])
    height, width = image.shape[1:]
    center, reach = np.array([height // 2, width // 2]), min(height, width) // 3
    corners = center + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + drawn.uniform(-skew, skew, corners.shape)
    # The affine map of the moved corners to their original positions.
    matrix = np.linalg.solve(np.hstack([moved, np.ones((3, 1))]), corners).T
    grid = np.stack(
        [*np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), np.ones((height, width))]
    )
    points = np.tensordot(matrix, grid, 1)
    if strength:
        bends = drawn.uniform(-1, 1, (2, height, width))
        points += strength * np.stack(
            [ndimage.gaussian_filter(bend, smoothness, truncate=3) for bend in bends]
        )
    return np.stack([ndimage.map_coordinates(channel, points, order=1, mode="mirror") for channel in image])


def _pixelate(image: Array, level: int, drawn: np.random.Generator) -> Array:
    share, (height, width) = (0.95, 0.9, 0.85, 0.75, 0.65)[level], image.shape[1:]
    small = (max(1, int(width * share)), max(1, int(height * share)))
    picture = _picture(image).resize(small, Image.Resampling.BOX)
    return _values(picture.resize((width, height), Image.Resampling.BOX), image)


def _jpeg_compression(image: Array, level: int, drawn: np.random.Generator) -> Array:
    stream = io.BytesIO()
    _picture(image).save(stream, "JPEG", quality=(80, 65, 58, 50, 40)[level])
    return _values(Image.open(stream), image)


def _picture(image: Array) -> Image.Image:
    pixels = (image * 255).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)) if len(image) == 3 else pixels[0])


def _values(picture: Image.Image, like: Array) -> Array:
    values = np.asarray(picture) / 255
    return values.transpose(2, 0, 1) if len(like) == 3 else values[None]


KINDS: dict[str, Callable[[Array, int, np.random.Generator], Array]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "defocus_blur": _defocus_blur,
    "glass_blur": _glass_blur,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "frost": _frost,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "elastic_transform": _elastic_transform,
    "pixelate": _pixelate,
    "jpeg_compression": _jpeg_compression,
}
"""Names of the benchmark, and what changes an image (C, H, W) in [0, 1] at level 0 to 4."""
