"""Draws of :mod:`condensery.augmentation.siamese` as tables, by which many are applied at once.

The same operations run whatever was drawn: an image whose draw has another family gets the values that leave
it as it is. A step on a GPU, which takes as long to start an operation as to carry it out, then starts a
dozen instead of a dozen for each draw. Results equal those of ``siamese.apply`` but for rounding in ``scale``
and ``rotate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.augmentation import siamese
from condensery.augmentation.siamese import Draw
from condensery.machine.transfer import together

Table = Mapping[str, Tensor]
"""What a group of families does to R rows of images, float32 (R, ...); `_table` has the names."""


def of(draws: Sequence[Draw], strategy: str, size: Sequence[int]) -> list[Table]:
    """Return the tables of draws on the CPU, one for each group of the strategy.

    Args:
        draws: of this strategy; their rows follow each other, R in all.
        strategy: see `siamese.groups`.
        size: height and width of the images in pixels.
    """
    chains = [list(siamese.chain(draw)) for draw in draws]
    return [
        _table([chain[number] for chain in chains], families, size)
        for number, families in enumerate(siamese.groups(strategy))
    ]


def moved(tables: Sequence[Table], device: torch.device) -> list[Table]:
    """Move tables to a device in one copy."""
    values = iter(together([values for table in tables for values in table.values()], device))
    return [{name: next(values) for name in table} for table in tables]


def apply(images: Tensor, tables: Sequence[Table]) -> Tensor:
    """Augment images, differentiably.

    Args:
        images: (R, m, C, H, W), where the tables are: a row of them serves m images.
        tables: of R rows.
    """
    for table in tables:
        if "color" in table:
            images = _colored(images, table["color"])
        if "rows" in table:
            images = _picked(images, table["rows"], table["columns"])
        if "kept rows" in table:
            kept = torch.maximum(table["kept rows"][:, :, None], table["kept columns"][:, None])
            images = images * kept.to(images.dtype)[:, None, None]
        if "warped" in table:
            images = _warped(images, table["across"], table["down"], table["warped"])
    return images


def _colored(images: Tensor, values: Tensor) -> Tensor:
    saturation, contrast, brightness = values.to(images.dtype).view(-1, 3, 1, 1, 1, 1).unbind(1)
    pixel_mean = images.mean(dim=2, keepdim=True)
    image_mean = pixel_mean.mean(dim=(3, 4), keepdim=True)
    saturated = torch.lerp(pixel_mean, images, saturation)
    return torch.lerp(image_mean, saturated, contrast) + brightness


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    index = (rows[:, :, None] + columns[:, None]).long().flatten(1)[:, None]
    padded = F.pad(images, (1, 1, 1, 1)).flatten(3).flatten(1, 2)
    return padded.gather(2, index.expand(-1, padded.shape[1], -1)).view(images.shape)


def _warped(images: Tensor, across: Tensor, down: Tensor, warped: Tensor) -> Tensor:
    # Sampling positions need more than a half-precision mantissa.
    source = images if images.dtype in (torch.float32, torch.float64) else images.float()
    grid = (across[:, None] + down[:, :, None]).to(source.dtype)
    grid = grid[:, None].expand(-1, images.shape[1], -1, -1, -1).flatten(0, 1)
    found = F.grid_sample(
        source.flatten(0, 1), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    found = found.to(images.dtype).view(images.shape)
    return torch.lerp(images, found, warped.to(images.dtype).view(-1, 1, 1, 1, 1))


def _table(draws: Sequence[Draw], families: Sequence[str], size: Sequence[int]) -> Table:
    """Return the table of one group.

    ``color`` (R, 3): share of the saturated and of the contrasted image, offset. ``rows`` (R, H) and
    ``columns`` (R, W): their sums are the pixels, in a picture with a border of one, that an image consists
    of. ``kept rows`` (R, H) and ``kept columns`` (R, W): 0 where cutout covers both. ``across`` (R, W, 2) and
    ``down`` (R, H, 2): their sums are positions (x, y) to sample where ``warped`` (R) is 1.
    """
    height, width = size
    counts = [len(draw.values) for draw in draws]
    total, parts = sum(counts), torch.arange(sum(counts)).split(counts)

    def drawn(family: str) -> tuple[Tensor, Tensor]:
        """Return the rows that have a family, and their values."""
        own = [(part, draw.values) for part, draw in zip(parts, draws, strict=True) if draw.family == family]
        empty = (torch.empty(0, dtype=torch.int64), torch.empty(0, siamese.columns(family)))
        found = own or [empty]
        return torch.cat([part for part, _ in found]), torch.cat([values for _, values in found])

    table: dict[str, Tensor] = {}
    if "color" in families:
        where, values = drawn("color")
        table["color"] = torch.tensor([1.0, 1.0, 0.0]).repeat(total, 1)
        brightness, saturation, contrast = values.unbind(1)
        table["color"][where] = torch.stack((2 * saturation, contrast + 0.5, brightness - 0.5), 1)
    if "crop" in families or "flip" in families:
        rows = torch.arange(1.0, height + 1).repeat(total, 1)
        columns = torch.arange(1.0, width + 1).repeat(total, 1)
        if "crop" in families:
            where, values = drawn("crop")
            rows[where] = (rows[where] + values[:, :1]).clamp_(0, height + 1)
            columns[where] = (columns[where] + values[:, 1:]).clamp_(0, width + 1)
        if "flip" in families:
            where, values = drawn("flip")
            columns[where[siamese.mirrored(values[:, 0])]] = torch.arange(float(width), 0, -1)
        table["rows"], table["columns"] = rows.mul_(width + 2), columns
    if "cutout" in families:
        where, values = drawn("cutout")
        for name, length, center in zip(("rows", "columns"), size, values.long().unbind(1), strict=True):
            table[f"kept {name}"] = torch.ones(total, length)
            table[f"kept {name}"][where] = 1 - siamese.is_covered(center, length).float()
    if "scale" in families or "rotate" in families:
        scaled, factors = drawn("scale")
        turned, angles = drawn("rotate")
        where = torch.cat([scaled, turned])
        (a, b), (c, d) = (
            row.unbind(1)
            for row in torch.cat([torch.diag_embed(factors), siamese.turning(angles)])[..., None].unbind(1)
        )
        # From the center in pixels; 1 is the outer edge, half a side away.
        x, y = (torch.arange(length) - (length - 1) / 2 for length in (width, height))
        across, down = torch.zeros(total, width, 2), torch.zeros(total, height, 2)
        across[where] = torch.stack((a * x * (2 / width), c * x * (2 / height)), -1)
        down[where] = torch.stack((b * y * (2 / width), d * y * (2 / height)), -1)
        warped = torch.zeros(total)
        warped[where] = 1.0
        table |= {"across": across, "down": down, "warped": warped}
    return table
