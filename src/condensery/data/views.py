"""Views of a data set: without its test images, restricted to some classes, or brought to another shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from condensery import streams
from condensery.data.arrays import CHUNK_BYTES, DataInfo, RealData, Split
from condensery.data.contents import Shape
from condensery.errors import CondenseryError


def training_only(data: RealData) -> RealData:
    """Return the data set with an empty test split, so that no test image can leak."""
    return replace(data, test=data.test.subset(np.empty(0, dtype=np.int64)))


def held_out(data: RealData, fraction: float, seed: int, limit: int | None = None) -> RealData:
    """Split the training images at random into training and validation images; the latter are the test split.

    The view does not contain the real test split.

    Args:
        data: the data set; only its training split is used.
        fraction: the share of the training split that is held out for validation, between 0 and 1.
        seed: the seed of the random choice.
        limit: the number of images, chosen at random from the others, in the view's training split; None
            takes all others.

    Raises:
        CondenseryError: the view would have no images to train on, or none to validate with.
    """
    count = len(data.train)
    order = torch.randperm(count, generator=streams.generator(seed, "validation-split")).numpy()
    validation, rest = np.split(order, [round(fraction * count)])
    if not len(validation) or not len(rest):
        raise CondenseryError(
            f"{data.info.name}: {fraction:g} of its {count} training images to validate with leaves "
            f"{len(validation)} of them, and {len(rest)} to train on; choose another fraction"
        )
    # Ascending, because neighbors are read from a file together.
    train, test = (data.train.subset(np.sort(part)) for part in (rest[:limit], validation))
    return replace(data, train=train, test=test)


def of_classes(data: RealData, classes: Sequence[int]) -> RealData:
    """Return the images of some classes; labels, class names and thus the outputs of networks are unchanged.

    Raises:
        CondenseryError: a class is unknown or given twice.
    """
    known = len(data.info.classes)
    wrong = [c for c in classes if not 0 <= c < known or list(classes).count(c) > 1]
    if wrong:
        raise CondenseryError(
            f"class {wrong[0]} comes twice or is not in {data.info.name}, which has classes 0 to {known - 1}"
        )
    names = ", ".join(str(c) for c in sorted(classes))
    info = replace(data.info, name=f"{data.info.name}, classes {names}")
    train, test = (
        _named(split.subset(np.flatnonzero(np.isin(split.labels, list(classes)))), info)
        for split in (data.train, data.test)
    )
    return replace(data, info=info, train=train, test=test)


def reshaped(data: RealData, shape: Shape) -> RealData:
    """Return the images with another number of channels and pixels.

    Gray channels are repeated, sizes are changed by bilinear interpolation, and values are rounded to 8 bits.
    All images are computed now and held in memory (N * C * H * W bytes), unless the shape is the same.

    Raises:
        CondenseryError: color images cannot become gray, or the images are whitened.
    """
    info = data.info
    if shape == shape_of(info):
        return data
    channels, height, width = shape
    if info.channels not in (1, channels):
        raise CondenseryError(f"{info.name} has {info.channels} channels, which cannot become {channels}")
    if info.whitening:
        raise CondenseryError(f"{info.name} is whitened, pixel by pixel, and cannot change its size")
    repeat = channels // info.channels
    name = f"{info.name} as {'x'.join(str(side) for side in shape)}"
    info = DataInfo(name, channels, height, width, info.classes, info.mean * repeat, info.std * repeat)
    train, test = (_resized(split, info) for split in (data.train, data.test))
    return replace(data, info=info, train=train, test=test)


def shape_of(info: DataInfo) -> Shape:
    """Return channels, height and width of a data set's images."""
    return Shape(info.channels, info.height, info.width)


def _named(split: Split, info: DataInfo) -> Split:
    split.info = info
    return split


def _resized(split: Split, info: DataInfo) -> Split:
    images = np.empty((len(split), *shape_of(info)), dtype=np.uint8)
    step = max(1, CHUNK_BYTES // (4 * int(np.prod(images.shape[1:]))))
    for first in range(0, len(split), step):
        rows = np.arange(first, min(first + step, len(split)))
        part = torch.as_tensor(split.subset(rows).images).float()
        part = F.interpolate(part, (info.height, info.width), mode="bilinear", align_corners=False)
        images[rows] = part.round().to(torch.uint8).expand(-1, info.channels, -1, -1).numpy()
    return Split(images, split.labels, info)
