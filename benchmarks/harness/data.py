"""Real data made of noise, so that a benchmark needs no data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from condensery.data import DataInfo, RealData, Split
from harness.case import TEST_IMAGES, Case

# Distinct images of noise; a larger data set repeats them, which saves host memory and changes no time.
_DISTINCT = 2_000


def real_data(case: Case, folder: Path) -> RealData:
    """Return a data set of the case's shape, with images of every class in equal numbers.

    In the study of the data set's size the training images are a memory-mapped file, as in prepared data.
    The file is sparse: it has its full length and takes no space, and its pixels are zeros.

    Args:
        case: the case.
        folder: where the file is written.
    """
    side, channels = case.size, case.channels
    names = tuple(f"class {c}" for c in range(case.classes))
    info = DataInfo("noise", channels, side, side, names, (0.5,) * channels, (0.25,) * channels)
    rng = np.random.default_rng(0)
    shape = (channels, side, side)
    count = -(-_DISTINCT // case.classes) * case.classes
    pool = Split(rng.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % case.classes, info)

    def repeated(images: int) -> Split:
        return pool.subset(np.arange(images) % count)

    if case.study != "images":
        return RealData(info, repeated(case.images), repeated(TEST_IMAGES))
    path = folder / "images.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (case.images, *shape))
    train = Split(np.load(path, mmap_mode="r"), np.arange(case.images) % case.classes, info)
    return RealData(info, train, repeated(TEST_IMAGES))
