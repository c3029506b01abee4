"""Image files of any kind as images with 8 bits per channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from condensery.errors import CondenseryError


def eight_bit(opened: Image.Image, path: Path) -> Image.Image:
    """Return an image upright, opaque and with 8 bits per channel, whatever its file format.

    It is turned by its EXIF orientation, 16-bit pixels are scaled, transparent ones are laid on white.

    Raises:
        CondenseryError: its pixels are floating-point or 32-bit numbers, whose range nothing tells.
    """
    image = ImageOps.exif_transpose(opened)
    # Pillow gives a 16-bit PGM as 32-bit numbers that it has scaled to 65,535.
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format in ("PNG", "PPM")):
        return Image.fromarray(np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise CondenseryError(
            f"{path}: {kind} pixels, whose range the file does not tell; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image
