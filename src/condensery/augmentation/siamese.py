"""Differentiable Siamese augmentation (DSA section 3; DM section 2.2).

An augmentation is drawn first and applied later, so one draw can serve two batches: the real and the
synthetic images of a class see the same family with the same parameters. A draw has one parameter row
that all images share (Siamese), or one row per image (ordinary training)::

    shared = draw("color_crop_cutout_flip_scale_rotate", 1, (32, 32), generator)
    real, synthetic = apply(real, shared), apply(synthetic, shared)

A strategy is groups of families: ``_`` joins the families of a group, of which one is drawn, and ``+`` joins
groups, which are applied one after the other. In ``flip+color+crop_scale_rotate`` a batch is flipped, then
changed in color, then cropped, scaled or rotated.

Every family is a pure function of ``images`` (N, C, H, W), in normalized space, and of ``values`` (n, p),
with n = 1 or N, and is differentiable in the images. With n = 1 there is a fast path: the host reads the
values, which costs nothing because draws with one row stay on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.errors import CondenseryError
from condensery.machine.transfer import together

FAMILIES = ("color", "crop", "cutout", "flip", "scale", "rotate")

# Strengths of the authors' public code.
_CROP_RATIO = 0.125
_CUTOUT_RATIO = 0.5
_FLIP_PROBABILITY = 0.5
_SCALE_RATIO = 1.2
_ROTATE_DEGREES = 15.0


@dataclass(frozen=True)
class Draw:
    """One augmentation, ready to be applied.

    Attributes:
        family: one of `FAMILIES`; None leaves the images unchanged.
        values: (n, p) float32: one row that the batch shares, on the CPU; or one row per image, on the CPU or
            (:func:`moved`) on the device of the images. The function of the family names the columns.
        after: the draw of the next group, which is applied after this one; None for the last group.
    """

    family: str | None
    values: Tensor
    after: Draw | None = None


@cache
def groups(strategy: str) -> tuple[tuple[str, ...], ...]:
    """Split a strategy such as ``"color+crop_flip"`` into its groups of families; ``"none"`` has none.

    Raises:
        CondenseryError: a family is unknown or repeated.
    """
    if strategy == "none":
        return ()
    found = tuple(tuple(group.split("_")) for group in strategy.split("+"))
    families = [family for group in found for family in group]
    for family in families:
        if family not in FAMILIES:
            raise CondenseryError(
                f"unknown augmentation {family!r} in {strategy!r}: write 'none' or join some of "
                f"{', '.join(FAMILIES)} with '_', one of which is drawn, or '+', which are all applied"
            )
    if len(set(families)) < len(families):
        raise CondenseryError(f"augmentation {strategy!r} names a family twice: name each once")
    return found


def parse(strategy: str) -> tuple[str, ...]:
    """Return the families of all groups of a strategy.

    Raises:
        CondenseryError: see `groups`.
    """
    return tuple(family for group in groups(strategy) for family in group)


def draw(strategy: str, rows: int, size: Sequence[int], generator: torch.Generator) -> Draw:
    """Draw one family of each group, uniformly, and ``rows`` independent rows of parameters.

    Args:
        strategy: see `groups`.
        rows: 1 for a Siamese draw, or the number of images.
        size: height and width of the images in pixels, which bound the shifts of crop and cutout.
        generator: a CPU generator. Row i does not depend on ``rows``.

    Raises:
        CondenseryError: the strategy is not valid.
    """
    chosen = [group[int(torch.randint(len(group), (1,), generator=generator))] for group in groups(strategy)]
    # One call, which fills row by row: the first rows of a longer draw equal those of a shorter one.
    columns = [_TABLE[family][0] for family in chosen]
    uniform = torch.rand(rows, sum(columns), generator=generator).split(columns, 1) if chosen else ()
    drawn: Draw | None = None
    for family, own in reversed(list(zip(chosen, uniform, strict=True))):
        drawn = Draw(family, _TABLE[family][1](own, size), drawn)
    return drawn or Draw(None, torch.empty(rows, 0))


def moved(draws: Sequence[Draw], device: torch.device) -> list[Draw]:
    """Move all draws with several rows to a device in one copy; draws with one row stay on the CPU."""
    several = [
        each.values for first in draws for each in chain(first) if each.family and len(each.values) > 1
    ]
    values = iter(together(several, device))

    def move(each: Draw) -> Draw:
        own = next(values) if each.family and len(each.values) > 1 else each.values
        return Draw(each.family, own, move(each.after) if each.after else None)

    return [move(first) for first in draws]


def chain(draw: Draw) -> Iterator[Draw]:
    """Yield the draw of each group, with its family and values."""
    each: Draw | None = draw
    while each:
        yield each
        each = each.after


def apply(images: Tensor, draw: Draw) -> Tensor:
    """Augment a batch.

    Args:
        images: (N, C, H, W), any floating type and device, in normalized space.
        draw: with one row for all images, or N rows.

    Returns:
        (N, C, H, W), of the type and on the device of ``images``, which are not changed.

    Raises:
        ValueError: the number of rows is neither 1 nor N.
    """
    for each in chain(draw):
        if each.family is None:
            continue
        if each.values.shape[0] not in (1, images.shape[0]):
            raise ValueError(f"{each.values.shape[0]} rows of parameters for {images.shape[0]} images")
        images = _TABLE[each.family][2](images, each.values)
    return images


def color(images: Tensor, values: Tensor) -> Tensor:
    """Change brightness, then saturation, then contrast.

    With u_b, u_s, u_c in [0, 1): x + (u_b - 0.5); then 2 u_s times the distance from the pixel's mean over
    channels; then (u_c + 0.5) times the distance from the mean of the image.

    Args:
        images: (N, C, H, W).
        values: (n, 3) of u_b, u_s, u_c.
    """
    if values.shape[0] == 1:
        brightness, saturation, contrast = values[0].tolist()
    else:
        brightness, saturation, contrast = values.to(images).view(-1, 3, 1, 1, 1).unbind(1)
    # Both means commute with the offset, and saturation keeps the mean of the image. So brightness can be
    # applied last, and both interpolations can use the statistics of the original images.
    pixel_mean = images.mean(dim=1, keepdim=True)
    image_mean = pixel_mean.mean(dim=(2, 3), keepdim=True)
    saturated = torch.lerp(pixel_mean, images, 2 * saturation)
    return torch.lerp(image_mean, saturated, contrast + 0.5) + (brightness - 0.5)


def crop(images: Tensor, values: Tensor) -> Tensor:
    """Shift the window over the image by whole pixels; pixels from outside are zero.

    Args:
        images: (N, C, H, W).
        values: (n, 2) of whole numbers (down, right): output pixel (i, j) is input (i + down, j + right).
    """
    if values.shape[0] == 1:
        y, x = (int(shift) for shift in values[0].tolist())
        return F.pad(images, (-x, x, -y, y))
    _, channels, height, width = images.shape
    device = images.device
    down, right = values.to(device, torch.int64).unbind(1)
    # A border of one zero pixel is enough: every index outside is clamped onto it.
    rows = (torch.arange(1, height + 1, device=device) + down[:, None]).clamp(0, height + 1)
    cols = (torch.arange(1, width + 1, device=device) + right[:, None]).clamp(0, width + 1)
    index = (rows[:, :, None] * (width + 2) + cols[:, None, :]).flatten(1)
    padded = F.pad(images, (1, 1, 1, 1)).flatten(2)
    return padded.gather(2, index[:, None].expand(-1, channels, -1)).view(images.shape)


def cutout(images: Tensor, values: Tensor) -> Tensor:
    """Set a square of half the image's side to zero; it is clipped at the border.

    Args:
        images: (N, C, H, W).
        values: (n, 2) of whole numbers (row, column): the center. A square of side s covers
            ``[center - s // 2, center - s // 2 + s)``.
    """
    height, width = images.shape[-2:]
    device = images.device
    if values.shape[0] == 1:
        row, column = values[0].tolist()
        mask = torch.ones(height, width, dtype=images.dtype, device=device)
        mask[_covered(int(row), height), _covered(int(column), width)] = 0
        return images * mask
    row, column = values.to(device, torch.int64).unbind(1)
    inside = is_covered(row, height)[:, :, None] & is_covered(column, width)[:, None, :]
    return images * ~inside[:, None]


def flip(images: Tensor, values: Tensor) -> Tensor:
    """Mirror left and right.

    Args:
        images: (N, C, H, W).
        values: (n, 1) of u in [0, 1): below 0.5 the image is mirrored.
    """
    if values.shape[0] == 1:
        return images.flip(3) if values.item() < _FLIP_PROBABILITY else images
    where = mirrored(values.to(images.device)).view(-1, 1, 1, 1)
    return torch.where(where, images.flip(3), images)


def mirrored(values: Tensor) -> Tensor:
    """Say which images :func:`flip` mirrors, with values in [0, 1) of any shape."""
    return values < _FLIP_PROBABILITY


def scale(images: Tensor, values: Tensor) -> Tensor:
    """Zoom about the center, bilinear, zero outside.

    Args:
        images: (N, C, H, W).
        values: (n, 2) of (s_x, s_y): output position p shows input position (s_x p_x, s_y p_y), measured
            from the center, so values below 1 enlarge.
    """
    return _warp(images, torch.diag_embed(values))


def rotate(images: Tensor, values: Tensor) -> Tensor:
    """Rotate about the center, bilinear, zero outside.

    Args:
        images: (N, C, H, W).
        values: (n, 1) of angles in degrees; positive ones rotate counterclockwise.
    """
    return _warp(images, turning(values))


def turning(values: Tensor) -> Tensor:
    """Return the rotation matrices, (n, 2, 2), of angles in degrees, (n, 1)."""
    angle = torch.deg2rad(values[:, 0])
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((cos, -sin, sin, cos), dim=1).view(-1, 2, 2)


def _warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Sample each image where its matrix (n, 2, 2) sends the pixel centers (x, y), from the image center."""
    count, _, height, width = images.shape
    # Sampling positions need more than a half-precision mantissa.
    source = images if images.dtype in (torch.float32, torch.float64) else images.float()
    x = torch.arange(width, dtype=source.dtype, device=source.device) - (width - 1) / 2
    y = torch.arange(height, dtype=source.dtype, device=source.device)[:, None] - (height - 1) / 2
    if matrices.shape[0] == 1:
        (a, b), (c, d) = matrices[0].tolist()
    else:
        (a, b), (c, d) = (row.unbind(1) for row in matrices.to(source)[..., None, None].unbind(1))
    # Written out instead of affine_grid, whose matrix product loses digits where TF32 is allowed.
    # With align_corners=False the coordinate 1 is the outer edge, half a side from the center.
    grid = torch.stack(((a * x + b * y) * (2 / width), (c * x + d * y) * (2 / height)), dim=-1)
    grid = grid.expand(count, -1, -1, -1)
    warped = F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return warped.to(images.dtype)


def _side(length: int) -> int:
    """Side of the cutout square along an axis of this length, in pixels."""
    return int(length * _CUTOUT_RATIO + 0.5)


def _covered(center: int, length: int) -> slice:
    start = center - _side(length) // 2
    return slice(max(start, 0), start + _side(length))


def is_covered(center: Tensor, length: int) -> Tensor:
    """Say which positions along an axis the square of each center, (N,), covers: bool (N, length)."""
    start = center[:, None] - _side(length) // 2
    position = torch.arange(length, device=center.device)
    return (position >= start) & (position < start + _side(length))


def columns(family: str) -> int:
    """Return the number of values per row of a family's draw."""
    return _TABLE[family][0]


def _integers(uniform: Tensor, count: int) -> Tensor:
    """Turn uniform draws in [0, 1) into whole numbers in [0, count); float32 cannot round up to count."""
    return (uniform * count).floor()


def _unit_values(uniform: Tensor, size: Sequence[int]) -> Tensor:
    return uniform


def _crop_values(uniform: Tensor, size: Sequence[int]) -> Tensor:
    reach = [int(length * _CROP_RATIO + 0.5) for length in size]
    return torch.stack(
        [_integers(u, 2 * r + 1) - r for u, r in zip(uniform.unbind(1), reach, strict=True)], 1
    )


def _cutout_values(uniform: Tensor, size: Sequence[int]) -> Tensor:
    # An even square has no middle pixel, so its center may lie on either border: one position more.
    counts = [length + 1 - _side(length) % 2 for length in size]
    return torch.stack([_integers(u, p) for u, p in zip(uniform.unbind(1), counts, strict=True)], 1)


def _scale_values(uniform: Tensor, size: Sequence[int]) -> Tensor:
    return uniform * (_SCALE_RATIO - 1 / _SCALE_RATIO) + 1 / _SCALE_RATIO


def _rotate_values(uniform: Tensor, size: Sequence[int]) -> Tensor:
    return (uniform - 0.5) * (2 * _ROTATE_DEGREES)


# family -> (columns, values from uniform draws and the image size, the function that applies them)
_TABLE: dict[
    str, tuple[int, Callable[[Tensor, Sequence[int]], Tensor], Callable[[Tensor, Tensor], Tensor]]
] = {
    "color": (3, _unit_values, color),
    "crop": (2, _crop_values, crop),
    "cutout": (2, _cutout_values, cutout),
    "flip": (1, _unit_values, flip),
    "scale": (2, _scale_values, scale),
    "rotate": (1, _rotate_values, rotate),
}
