"""Draws of :mod:`condensery.augmentation.siamese` as tables, so that many draws are applied at once.

The same operations run whatever was drawn: for the families that were not drawn, an image has values that
leave it unchanged. A GPU takes as long to start an operation as to execute it; a step then starts seven
operations instead of a dozen per draw. Results equal those of ``siamese.apply`` up to rounding: in ``scale``
and ``rotate``, positions differ by a millionth of a pixel if a side is not a power of 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from condensery.augmentation import siamese
from condensery.augmentation.siamese import Draw

Table = Mapping[str, Tensor]
"""What a group of families does to R rows of images, float32 (R, ...), under names: see `_table`."""


def of(draws: Sequence[Draw], strategy: str, size: Sequence[int]) -> list[Table]:
    """Return the tables of draws on the CPU, one for each group of the strategy.

    Args:
        draws: draws of this strategy; the tables have their rows one after the other, R in all.
        strategy: see `siamese.groups`.
        size: height and width of the images in pixels.
    """
    chains = [list(siamese.chain(draw)) for draw in draws]
    return [
        _table([chain[number] for chain in chains], families, size)
        for number, families in enumerate(siamese.groups(strategy))
    ]


def spread(tables: Sequence[Table]) -> list[Table]:
    """Expand tables, on their device, to the positions and masks of whole images that :func:`apply` takes."""
    return [dict(_spread(table)) for table in tables]


def _spread(table: Table) -> Iterator[tuple[str, Tensor]]:
    if "color" in table:
        yield "color", table["color"]
    if "kept rows" in table:
        kept = torch.maximum(table["kept rows"][:, :, None], table["kept columns"][:, None])
        yield "kept", kept[:, None, None]
    if "across" in table:
        yield "positions", table["across"][:, None] + table["down"][:, :, None]


def apply(images: Tensor, tables: Sequence[Table]) -> Tensor:
    """Augment images, differentiably.

    Args:
        images: (R, m, C, H, W), on the device of the tables; each row of the tables applies to m images.
        tables: tables with R rows, expanded by :func:`spread`.
    """
    for table in tables:
        if "color" in table:
            saturation, contrast, brightness = (
                table["color"].to(images.dtype).view(-1, 3, 1, 1, 1, 1).unbind(1)
            )
            images = _Mixed.apply(images, saturation, contrast) + brightness
        if "kept" in table:
            images = images * table["kept"].to(images.dtype)
        if "positions" in table:
            images = _sampled(images, table["positions"])
    return images


class _Mixed(torch.autograd.Function):
    """Images mixed with the mean of each pixel over the channels, and then with the mean of each image.

    Both mixings are symmetric linear maps and commute. The gradient with respect to the images is therefore
    the incoming gradient, mixed in the same way; autograd would need three times as many operations.
    """

    @staticmethod
    def forward(images: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
        """Return images (R, m, C, H, W), by weights (R, 1, 1, 1, 1) of what is not the mean."""
        pixel_mean = images.mean(dim=2, keepdim=True)
        image_mean = pixel_mean.mean(dim=(3, 4), keepdim=True)
        return torch.lerp(image_mean, torch.lerp(pixel_mean, images, saturation), contrast)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Keep the weights."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to the images."""
        return _Mixed.apply(gradients[0], *ctx.saved_tensors), None, None


def _sampled(images: Tensor, positions: Tensor) -> Tensor:
    """Return images (R, m, C, H, W) sampled at positions (R, H, W, 2), bilinear, zero outside."""
    # Sampling positions need more than a half-precision mantissa.
    source = images if images.dtype in (torch.float32, torch.float64) else images.float()
    # All images of a row as channels of one picture, of which each is sampled at the same positions.
    found = F.grid_sample(
        source.flatten(1, 2),
        positions.to(source.dtype),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return found.to(images.dtype).view(images.shape)


def _table(draws: Sequence[Draw], families: Sequence[str], size: Sequence[int]) -> Table:
    """Return the table of one group.

    ``color`` (R, 3): share of the saturated and of the contrasted image, offset. ``kept rows`` (R, H) and
    ``kept columns`` (R, W): 0 where cutout covers both. ``across`` (R, W, 2) and ``down`` (R, H, 2): their
    sums are the positions (x, y) that an image is sampled at, in units in which its outer edges are at -1
    and 1.
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
    if "cutout" in families:
        where, values = drawn("cutout")
        for name, length, center in zip(("rows", "columns"), size, values.long().unbind(1), strict=True):
            table[f"kept {name}"] = torch.ones(total, length)
            table[f"kept {name}"][where] = 1 - siamese.is_covered(center, length).float()
    if not {"crop", "flip", "scale", "rotate"}.isdisjoint(families):
        # From the center in pixels; 1 is the outer edge, half a side away.
        x, y = (torch.arange(length) - (length - 1) / 2 for length in (width, height))
        across, down = torch.zeros(total, width, 2), torch.zeros(total, height, 2)
        across[..., 0], down[..., 1] = x * (2 / width), y * (2 / height)
        if "crop" in families:
            where, values = drawn("crop")
            down[where, :, 1] = (y + values[:, :1]) * (2 / height)
            across[where, :, 0] = (x + values[:, 1:]) * (2 / width)
        if "flip" in families:
            where, values = drawn("flip")
            across[where[siamese.mirrored(values[:, 0])], :, 0] = -x * (2 / width)
        if "scale" in families or "rotate" in families:
            scaled, factors = drawn("scale")
            turned, angles = drawn("rotate")
            where = torch.cat([scaled, turned])
            (a, b), (c, d) = (
                row.unbind(1)
                for row in torch.cat([torch.diag_embed(factors), siamese.turning(angles)])[..., None].unbind(
                    1
                )
            )
            across[where] = torch.stack((a * x * (2 / width), c * x * (2 / height)), -1)
            down[where] = torch.stack((b * y * (2 / width), d * y * (2 / height)), -1)
        table |= {"across": across, "down": down}
    return table
