"""Image files of any kind as images with 8 bits per channel."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from condensery.data.contents import readable
from condensery.errors import CondenseryError

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings of image files, in lower case; upper case counts, too."""


_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that are read, whatever the ending of the file; for some others Pillow would run programs."""

_PHOTOMETRIC = 262
"""The tag of a TIFF file that is 0 where 0 is white."""


def read_image(path: Path, channels: int, content: bytes | None = None) -> Image.Image:
    """Read an image file as gray (1 channel) or RGB, upright, opaque and with 8 bits per channel.

    If there are several frames, the first is read. The image is rotated as its EXIF orientation states.
    16-bit pixels are scaled (for color images Pillow gives the higher byte), and transparent ones are drawn
    on white. CMYK and other color spaces become RGB by Pillow's formulas; color profiles are ignored.

    Args:
        path: the image file, or the file that contains the image.
        channels: 1 or 3.
        content: the bytes of the image; default: those of the file.

    Raises:
        CondenseryError: the image is damaged or has too many pixels, or its pixels are floating-point or
            32-bit numbers, whose range is not known.
    """
    with readable(path):
        try:
            opened = Image.open(path if content is None else io.BytesIO(content), formats=_FORMATS)
        except Image.DecompressionBombError:
            most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
            raise CondenseryError(
                f"{path}: more than {most:,} pixels, which may fill the memory; make it smaller"
            ) from None
        with opened:
            return _eight_bit(opened, path).convert("L" if channels == 1 else "RGB")


def _eight_bit(opened: Image.Image, path: Path) -> Image.Image:
    image = ImageOps.exif_transpose(opened)
    # Pillow gives a 16-bit PGM as 32-bit numbers that it has scaled to 65,535.
    if image.mode.startswith("I;16") or (image.mode == "I" and opened.format in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.float64)
        # Pillow inverts images in which 0 is white, except those with 16 bits.
        white_is_zero = opened.format == "TIFF" and opened.getexif().get(_PHOTOMETRIC) == 0
        gray = np.rint((65_535 - values if white_is_zero else values) / 257).astype(np.uint8)
        clear = opened.info.get("transparency")
        return Image.fromarray(gray if clear is None else np.where(values == clear, np.uint8(255), gray))
    if image.mode in ("I", "F"):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise CondenseryError(
            f"{path}: {kind} pixels, whose range the file does not state; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image
