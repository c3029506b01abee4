"""The augmentation of DC's evaluation: one family per image, uniformly drawn.

Source: the authors' public code for DC and DSA, which uses it on MNIST (crop, scale or rotate) and for
batch-norm networks (crop or noise). It differs from differentiable Siamese augmentation, :mod:`.siamese`, in
which all images of a batch share one family, the strengths differ, and every family is differentiable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.machine.transfer import Parcel

PREFIX = "dc_"
FAMILIES = ("crop", "scale", "rotate", "noise")

# Strengths of the authors' public code.
_CROP_PIXELS = 4
_SCALE = 0.2
_ROTATE_DEGREES = 45
_NOISE = 0.001


def parse(strategy: str) -> tuple[str, ...]:
    """Split a strategy such as ``"dc_crop_scale_rotate"`` into its families.

    Raises:
        CondenseryError: it does not begin with ``dc_``, or a family is unknown or repeated.
    """
    families = tuple(strategy.removeprefix(PREFIX).split("_"))
    if not strategy.startswith(PREFIX) or len({*families} & {*FAMILIES}) < len(families):
        raise CondenseryError(
            f"unknown augmentation {strategy!r}: write {PREFIX} and some of {', '.join(FAMILIES)} with '_' "
            "between them, each once"
        )
    return families


@dataclass(frozen=True)
class Draw:
    """One augmentation of a batch, ready to be applied.

    Attributes:
        parts: family -> the indices of its images, int64 (n,), and their values, one row per image. The
            function of the family names the values, which are int64; those of ``noise`` are standard normal,
            float32 (n, C, H, W).
    """

    parts: dict[str, tuple[Tensor, Tensor]]


def draw(strategy: str, shape: Sequence[int], generator: torch.Generator) -> Draw:
    """Draw one family of the strategy for every image of a batch.

    Args:
        strategy: see `parse`.
        shape: the shape of the batch, (N, C, H, W).
        generator: a CPU generator.

    Raises:
        CondenseryError: see `parse`.
    """
    families = parse(strategy)
    chosen = torch.randint(len(families), shape[:1], generator=generator)
    # Two numbers per image serve any family.
    uniform = torch.rand(shape[0], 2, generator=generator)
    parts = {}
    for index, family in enumerate(families):
        rows = (chosen == index).nonzero().squeeze(1)
        if not len(rows):
            continue
        if family == "noise":
            values = torch.randn(len(rows), *shape[1:], generator=generator)
        else:
            values = _values(family, uniform[rows], shape[-2:])
        parts[family] = rows, values
    return Draw(parts)


def _values(family: str, uniform: Tensor, size: Sequence[int]) -> Tensor:
    """Return whole numbers for a family from draws in [0, 1), (n, 2), and the images' height and width."""
    match family:
        case "crop":
            return (uniform * 2 * _CROP_PIXELS).long() - _CROP_PIXELS
        case "scale":
            return ((uniform * 2 * _SCALE + 1 - _SCALE) * torch.tensor(size)).long()
        case _:
            return (uniform[:, 0] * 2 * _ROTATE_DEGREES).long() - _ROTATE_DEGREES


def added(draws: Sequence[Draw], parcel: Parcel) -> Callable[[], list[Draw]]:
    """Put draws into a parcel; return a function that returns them on the parcel's device."""
    take_out = parcel.add([tensor for draw in draws for part in draw.parts.values() for tensor in part])

    def there() -> list[Draw]:
        tensors = iter(take_out())
        return [Draw({family: (next(tensors), next(tensors)) for family in draw.parts}) for draw in draws]

    return there


def apply(images: Tensor, draw: Draw) -> Tensor:
    """Augment every image of a batch with its family.

    Args:
        images: (N, C, H, W) float, in normalized space.
        draw: a draw for these N images, on their device.

    Returns:
        (N, C, H, W), of the type and on the device of ``images``, which are not changed.
    """
    fill = images.mean((0, 2, 3))
    result = images.clone()
    for family, (rows, values) in draw.parts.items():
        match family:
            case "crop":
                result[rows] = crop(images[rows], values, fill)
            case "scale":
                result[rows] = scale(images[rows], values)
            case "rotate":
                result[rows] = rotate(images[rows], values, fill.mean())
            case "noise":
                result[rows] += _NOISE * values.to(images.dtype)
    return result


def crop(images: Tensor, shifts: Tensor, fill: Tensor) -> Tensor:
    """Move the window over each image by whole pixels.

    Args:
        images: (n, C, H, W).
        shifts: int64 (n, 2) of (down, right): output pixel (i, j) is input (i + down, j + right).
        fill: (C,), the value of pixels outside the image.
    """
    height, width = images.shape[-2:]
    down, right = shifts.unbind(1)
    rows = torch.arange(height, device=images.device) + down[:, None]
    columns = torch.arange(width, device=images.device) + right[:, None]
    return _pick(images, rows, columns, fill)


def scale(images: Tensor, sizes: Tensor) -> Tensor:
    """Resize each image by nearest neighbors, and center it: zeros fill the border, or it is cut off.

    Args:
        images: (n, C, H, W).
        sizes: int64 (n, 2) of new (height, width) in pixels.
    """
    sizes, sources = sizes.to(images.device), []
    # The largest side of old and new: on a square canvas of this size both are centered.
    canvas = sizes.amax(1).clamp_min(max(images.shape[-2:]))
    for side, new in zip(images.shape[-2:], sizes.unbind(1), strict=True):
        start = (canvas - side) // 2 - (canvas - new) // 2
        position = torch.arange(side, device=images.device) + start[:, None]
        inside = (position >= 0) & (position < new[:, None])
        sources.append(torch.where(inside, position * side // new[:, None], -1))
    rows, columns = sources
    return _pick(images, rows, columns, images.new_zeros(images.shape[1]))


def rotate(images: Tensor, degrees: Tensor, fill: Tensor) -> Tensor:
    """Rotate each image about its center, with cubic splines; pixels from outside are ``fill``.

    This is SciPy's ``rotate``, which the authors' public code calls: the canvas grows to hold the rotated
    image, and its middle is cut out. If it grows by an odd number of pixels, the image shifts by half of one.

    Args:
        images: (n, C, H, W).
        degrees: (n,) angles; positive ones rotate counterclockwise.
        fill: a scalar.
    """
    height, width = images.shape[-2:]
    angle = torch.deg2rad(degrees.to(images.dtype))
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    grown = [(cos.abs() * a + sin.abs() * b + 0.5).floor() for a, b in ((height, width), (width, height))]
    rows, columns = (torch.arange(s, dtype=images.dtype, device=images.device) for s in (height, width))
    y = rows[:, None] - (height - 1) / 2 - (grown[0] - height) % 2 / 2
    x = columns - (width - 1) / 2 - (grown[1] - width) % 2 / 2
    row = cos * y + sin * x + (height - 1) / 2
    column = cos * x - sin * y + (width - 1) / 2
    inside = (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
    return torch.where(inside[:, None], _spline(images, row, column), fill)


def _pick(images: Tensor, rows: Tensor, columns: Tensor, fill: Tensor) -> Tensor:
    """Return the pixels at (n, H) rows and (n, W) columns of each image; those outside are ``fill``, (C,)."""
    _, channels, height, width = images.shape
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
    picked = images.flatten(2).gather(2, index.flatten(1)[:, None].expand(-1, channels, -1))
    return torch.where(inside[:, None], picked.view(images.shape), fill[:, None, None])


def _spline(images: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return the cubic spline through the pixels of each image at (n, H, W) rows and columns."""
    _, channels, height, width = images.shape
    vertical, horizontal = (_coefficients(side, images.dtype, images.device) for side in (height, width))
    coefficients = vertical @ images @ horizontal.T
    flat, result = coefficients.flatten(2), torch.zeros_like(images)
    rows, columns = _taps(row, height), _taps(column, width)
    for i, vertical in rows:
        for j, horizontal in columns:
            index = (i * width + j).flatten(1)[:, None].expand(-1, channels, -1)
            result += (vertical * horizontal)[:, None] * flat.gather(2, index).view(images.shape)
    return result


def _taps(position: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """Return the four spline coefficients around each position, and their weights (cubic B-spline)."""
    first = position.floor()
    t = position - first
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    return [
        (_mirrored(first.long() + offset, length), weight)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True)
    ]


@lru_cache(maxsize=8)
def _coefficients(length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix that turns pixels of a line into the coefficients of the spline through them."""
    at = torch.arange(length)
    values = torch.zeros(length, length, dtype=torch.float64)
    # At pixel i the spline is (c[i - 1] + 4 c[i] + c[i + 1]) / 6, mirrored at the border.
    for offset, weight in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6)):
        values[at, _mirrored(at + offset, length)] += weight
    return torch.linalg.inv(values).to(device, dtype)


def _mirrored(index: Tensor, length: int) -> Tensor:
    """Reflect indices at the centers of the first and last element."""
    period = 2 * (length - 1)
    index = index % period
    return torch.where(index < length, index, period - index)
