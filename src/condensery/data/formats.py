"""Readers of data sets that come as a few files: idx, CIFAR, SVHN, USPS, digits, tinyimagenet.pt.

Images are read part by part, on demand. A truncated or altered file raises a `CondenseryError` that names the
file, in the reader or when the part is read.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from condensery.data.contents import (
    Contents,
    Piece,
    Shape,
    arrays_of_npz,
    class_names,
    decompressed,
    one_piece,
    readable,
    whole_numbers,
)

IDX_FILES = tuple(f"{s}-{p}-ubyte" for s in ("train", "t10k") for p in ("images-idx3", "labels-idx1"))


def read_idx(folder: Path, shape: Shape, *, compressed: bool = False) -> Contents:
    """Read MNIST's four idx files: images of (1, 28, 28).

    Args:
        folder: the folder of the files.
        shape: unused, since the format has a fixed shape.
        compressed: read the published .gz files; otherwise an unpacked file is preferred.
    """

    def locate(name: str) -> Path:
        plain, packed = folder / name, folder / f"{name}.gz"
        return packed if compressed or not plain.is_file() else plain

    files = [locate(name) for name in IDX_FILES]

    def part(images: Path, labels: Path) -> Iterator[Piece]:
        yield from one_piece(_idx(images, 3)[:, None], _idx(labels, 1))

    train, test = ([partial(part, *pair)] for pair in (files[:2], files[2:]))
    return Contents(folder, None, train, test, files)


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """Read one idx file: two zero bytes, type 8 (bytes), the number of dimensions, the sizes, the values."""
    data = decompressed(path)
    with readable(path):
        if data[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError(f"not an idx file of unsigned bytes in {dimensions} dimensions")
        sides = np.frombuffer(data, ">u4", count=data[3], offset=4).astype(int)
        values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
        return values.reshape(tuple(sides))


def _latin1(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


_REBUILD = np.empty(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that builds only arrays and plain values."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not an array")
        return _ALLOWED[module, name]


def unpickle(path: Path) -> dict[str, Any]:
    """Read a pickled dictionary of arrays and plain values; no code that the file may name is run.

    Raises:
        CondenseryError: the file is truncated, altered, or holds anything else.
    """
    with readable(path), path.open("rb") as stream:
        values = _ArraysOnly(stream, encoding="latin1").load()
        if not isinstance(values, dict):
            raise ValueError("not a dictionary")
        return values


def read_cifar(
    folder: Path, shape: Shape, *, train: tuple[str, ...], test: str, meta: str, labels: str
) -> Contents:
    """Read CIFAR's pickled batches of rows of 3 * 32 * 32 bytes.

    Args:
        folder: the folder of the files.
        shape: unused, since the format has a fixed shape.
        train: the files of the training split.
        test: the file of the test split.
        meta: the file of the class names.
        labels: the key of the labels in a batch, ``labels`` (CIFAR-10) or ``fine_labels`` (CIFAR-100).

    Raises:
        CondenseryError: the file of the class names is missing or damaged.
    """
    name_key = "fine_label_names" if labels == "fine_labels" else "label_names"

    def part(path: Path) -> Iterator[Piece]:
        batch = unpickle(path)
        with readable(path):
            images = _bytes(batch["data"]).reshape(-1, 3, 32, 32)
            yield from one_piece(images, batch[labels])

    with readable(folder / meta):
        classes = class_names(unpickle(folder / meta)[name_key])
    files = [folder / name for name in (*train, test)]
    parts = [partial(part, file) for file in files]
    return Contents(folder, classes, parts[:-1], parts[-1:], (*files, folder / meta))


def _bytes(values: object) -> np.ndarray:
    """Return an array of bytes unchanged; other types could overflow or lose fractions, and are refused."""
    if not isinstance(values, np.ndarray) or values.dtype != np.uint8:
        raise ValueError("its images are not arrays of unsigned bytes")
    return values


def read_svhn(folder: Path, shape: Shape) -> Contents:
    """Read SVHN's cropped digits: Matlab files with X (32, 32, 3, N) and y (N, 1), where 10 means 0.

    Args:
        folder: the folder of the files.
        shape: unused, since the format has a fixed shape.
    """
    from scipy.io import loadmat

    def part(path: Path) -> Iterator[Piece]:
        with readable(path):
            values = loadmat(path)
            images, labels = values["X"].transpose(3, 2, 0, 1), whole_numbers(values["y"].reshape(-1))
            yield from one_piece(images, np.where(labels == 10, 0, labels))

    files = [folder / "train_32x32.mat", folder / "test_32x32.mat"]
    return Contents(folder, None, [partial(part, files[0])], [partial(part, files[1])], files)


def usps_bytes(values: np.ndarray) -> np.ndarray:
    """Turn USPS values in [-1, 1] into uint8 as torchvision does: (value + 1) / 2 * 255, rounded down.

    torchvision computes in float32, which determines the rounding.

    Raises:
        ValueError: values outside [-1, 1].
    """
    if values.size and not (values.min() >= -1 and values.max() <= 1):
        raise ValueError("its values are not in [-1, 1]")
    return ((values.astype(np.float32) + 1) / 2 * 255).astype(np.uint8)


def read_usps(folder: Path, shape: Shape) -> Contents:
    """Read USPS in LIBSVM's text format (one image per line: label 1..10, then index:value in [-1, 1]).

    A pixel without a value is -1.

    Args:
        folder: the folder of the files ``usps.bz2`` and ``usps.t.bz2``.
        shape: unused, since the format has a fixed shape, (1, 16, 16).

    Raises:
        CondenseryError: (when a part is read) the file is damaged, or has pixels beyond 256.
    """

    def part(path: Path) -> Iterator[Piece]:
        lines = decompressed(path).decode("latin1").splitlines()
        with readable(path):
            values, labels = np.full((len(lines), 256), -1.0), np.empty(len(lines), dtype=np.int64)
            for row, line in enumerate(lines):
                label, *pixels = line.split()
                labels[row] = whole_numbers(float(label)) - 1
                for pixel in pixels:
                    position, value = pixel.split(":")
                    if not 1 <= int(position) <= 256:
                        raise ValueError(f"it has a pixel {position} of 256")
                    values[row, int(position) - 1] = float(value)
            yield from one_piece(usps_bytes(values).reshape(-1, 1, 16, 16), labels)

    files = [folder / "usps.bz2", folder / "usps.t.bz2"]
    return Contents(folder, None, [partial(part, files[0])], [partial(part, files[1])], files)


def read_usps_npz(path: Path, shape: Shape) -> Contents:
    """Read USPS from an .npz: x_train_milli, x_test_milli (int16, value times 1000), y_train, y_test.

    Args:
        path: the file.
        shape: unused, since the format has a fixed shape, (1, 16, 16).
    """

    def part(split: str) -> Iterator[Piece]:
        pixels, labels = (f"x_{split}_milli", f"y_{split}")
        values = arrays_of_npz(path, (pixels, labels))
        with readable(path):
            yield from one_piece(usps_bytes(values[pixels][:, None] / 1000), values[labels])

    return Contents(path, None, [partial(part, "train")], [partial(part, "test")], [path])


def read_medmnist(path: Path, shape: Shape) -> Contents:
    """Read a MedMNIST .npz: {train,test}_images (N, H, W) or (N, H, W, 3) and {train,test}_labels (N, 1).

    The validation images are left out, as in the published results on the test images.

    Args:
        path: the file.
        shape: unused, since the file states the shape.

    Raises:
        CondenseryError: (when a part is read) the file is damaged, or its images have several labels each.
    """

    def part(split: str) -> Iterator[Piece]:
        images, labels = (f"{split}_{what}" for what in ("images", "labels"))
        values = arrays_of_npz(path, (images, labels))
        with readable(path):
            pixels, known = _bytes(values[images]), values[labels]
            if known.size != len(pixels):
                raise ValueError(
                    f"{known.size} labels for {len(pixels)} images: more than one class for each"
                )
            pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)
            yield from one_piece(pixels, known.reshape(-1))

    return Contents(path, None, [partial(part, "train")], [partial(part, "test")], [path])


def read_digits(folder: Path, shape: Shape, *, inverted: bool = False) -> Contents:
    """Read scikit-learn's digits: 1,797 images of 8x8 pixels from 0 to 16, scaled to 0..255 and rounded.

    scikit-learn does not split them: here every fifth image of each class, in the order of the set, is a test
    image, so that the split is stratified and always the same.

    Args:
        folder: unused, since scikit-learn contains the images.
        shape: unused, since the images have a fixed shape.
        inverted: dark digits on a light background, in RGB.
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    if inverted:
        pixels = np.repeat(255 - pixels, 3, axis=1)
    tested = np.zeros(len(labels), dtype=bool)
    for c in range(10):
        tested[np.flatnonzero(labels == c)[4::5]] = True
    train, test = ([partial(one_piece, pixels[chosen], labels[chosen])] for chosen in (~tested, tested))
    return Contents(Path("scikit-learn"), None, train, test)


def read_tensors(path: Path, shape: Shape) -> Contents:
    """Read tinyimagenet.pt: uint8 images_{train,val} (N, 3, H, W), labels_{train,val} and classes.

    Args:
        path: the file.
        shape: unused, since the file states the shape.

    Raises:
        CondenseryError: the file is damaged or holds something else.
    """
    with readable(path):
        values = torch.load(path, weights_only=True, mmap=True)
        splits = [(values[f"images_{s}"], values[f"labels_{s}"]) for s in ("train", "val")]
        classes = class_names(values["classes"])
        if any(images.dtype != torch.uint8 or len(images) != len(labels) for images, labels in splits):
            raise ValueError("the images are not uint8 or do not fit the labels")
        for tensor in (each for split in splits for each in split):
            check_stored(tensor)

    def part(images: torch.Tensor, labels: torch.Tensor) -> Iterator[Piece]:
        with readable(path):
            yield from one_piece(images.numpy(), labels.numpy())

    train, test = (
        [partial(part, images[i : i + 10_000], labels[i : i + 10_000]) for i in range(0, len(images), 10_000)]
        for images, labels in splits
    )
    return Contents(path, classes, train, test, [path])


def check_stored(tensor: torch.Tensor) -> None:
    """Check that a file stores every value of a tensor: with strides of 0, a few bytes can claim any shape.

    Raises:
        ValueError: the tensor has more values than are stored, or is not dense.
    """
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise ValueError("it holds tensors of another kind than dense ones")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"it claims a tensor of shape {tuple(tensor.shape)}, larger than the file")
