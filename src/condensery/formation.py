"""Formation: each stored image holds several small ones, which are enlarged before networks train on them.

Source: the multi-formation of IDC (Kim et al. 2022), section 3; IDM, M3D, DANCE and NCFM store images in the
same way.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from condensery.errors import CondenseryError

MOST = 8
"""The largest factor: a file must not make its reader allocate any multiple of its size."""

_GRAY = 0.5  # what fills up parts that do not divide the image, in units in which pixels are from 0 to 1


def decode(images: Tensor, factor: int, fill: Tensor | float = _GRAY) -> Tensor:
    """Decode stored images to the images that networks train on; differentiable.

    Each stored image is cut into ``factor`` x ``factor`` parts of equal size, and each part is enlarged to
    the size of the stored image by bilinear interpolation (corners not aligned).

    Args:
        images: stored images, float (N, C, H, W).
        factor: parts along each side; 1 returns the images unchanged.
        fill: the value of pixels that are added on the right and below if the factor does not divide a side:
            a number, or a tensor (1, C, 1, 1). IDC's public code adds middle gray.

    Returns:
        Images (factor**2 * N, C, H, W), first the upper left parts of all images, then the parts to the
        right of them, row by row.
    """
    if factor == 1:
        return images
    height, width = images.shape[-2:]
    sides = -(-height // factor), -(-width // factor)
    if (height, width) != (factor * sides[0], factor * sides[1]):
        padded = images.new_zeros((*images.shape[:2], factor * sides[0], factor * sides[1])) + fill
        padded[..., :height, :width] = images
        images = padded
    cut = [
        images[..., top : top + sides[0], left : left + sides[1]]
        for top in range(0, factor * sides[0], sides[0])
        for left in range(0, factor * sides[1], sides[1])
    ]
    return functional.interpolate(torch.cat(cut), (height, width), mode="bilinear", align_corners=False)


def encode(images: Tensor, factor: int) -> Tensor:
    """Store several images in one, each shrunk by the mean over ``factor`` x ``factor`` pixels.

    Args:
        images: float (factor**2 * N, C, H, W), in the order in which `decode` returns images.
        factor: parts along each side.

    Returns:
        Float (N, C, H, W).

    Raises:
        CondenseryError: the factor does not divide the height, the width or the number of images.
    """
    count, channels, height, width = images.shape
    if height % factor or width % factor or count % factor**2:
        raise CondenseryError(
            f"formation {factor}: {count} images of {height}x{width} pixels cannot be stored "
            f"{factor}x{factor} in one; give a factor that divides them"
        )
    small = functional.avg_pool2d(images, factor)
    rows = small.reshape(factor, factor, count // factor**2, channels, *small.shape[-2:])
    return rows.permute(2, 3, 0, 4, 1, 5).reshape(-1, channels, height, width)
