"""The prepared layout of a data set: two arrays per split and a description, written last.

The folder holds ``train_images.npy``, ``train_labels.npy``, ``test_images.npy``, ``test_labels.npy`` (uint8
(N, C, H, W) and int64 (N,)), ``info.json`` and, of a whitened data set, ``whitening.npy``. It is complete
when ``info.json`` exists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from condensery.data.arrays import DataInfo, RealData, Split
from condensery.data.whitening import FILE as WHITENING
from condensery.data.whitening import Zca
from condensery.errors import CondenseryError

LAYOUT = 1
SPLITS = ("train", "test")
FILES = tuple(f"{split}_{part}.npy" for split in SPLITS for part in ("images", "labels"))
HEADER_BYTES = 128
READ_BYTES = 8 * 2**20
_DIGEST = "digest"


@dataclass(frozen=True)
class Description:
    """The contents of info.json.

    ``identity`` describes the entry that the folder was prepared for, and ``source`` the origin of the
    images. ``counts`` has the number of images per split, ``sha256`` the checksum per file, and ``content``
    the checksum per split. ``origin`` has the digests ``listing`` and ``content`` of the source's files (see
    `condensery.data.origin`); it is empty if earlier code prepared the folder.
    """

    info: DataInfo
    identity: str
    source: dict[str, str]
    counts: dict[str, int]
    sha256: dict[str, str]
    content: dict[str, str]
    origin: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the description as JSON, with a digest of itself."""
        fields = {
            "layout": LAYOUT,
            **self.info.described(),
            **{k: v for k, v in vars(self).items() if k != "info"},
        }
        fields[_DIGEST] = _digest(fields)
        path.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")

    def seen(self) -> dict[str, str]:
        """Return the digests of the images as jobs see them, for `RealData.content`."""
        info = {key: value for key, value in self.info.described().items() if key != "name"}
        text = json.dumps(info, sort_keys=True)
        return {**self.content, "seen_as": hashlib.sha256(text.encode()).hexdigest()}

    def files(self) -> str:
        """Return a digest of the arrays in their stored order."""
        return hashlib.sha256(json.dumps(self.sha256, sort_keys=True).encode()).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> Description:
        """Read the description of a prepared folder.

        Raises:
            CondenseryError: the folder is not complete, or its info.json is not one of this version.
        """
        path = folder / "info.json"
        name = folder.name if folder.parent.name == "prepared" else f"NAME --out {folder}"
        again = f"prepare it again with scripts/prepare.py --data {name}"
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields["layout"] != LAYOUT:
                raise CondenseryError(f"{path}: written by another version of condensery; {again}")
            # A description of earlier code has none.
            if fields.pop(_DIGEST, None) not in (None, _digest(fields)):
                raise CondenseryError(f"{path}: altered since it was written; {again}")
            info = DataInfo(
                name=fields["name"],
                channels=fields["channels"],
                height=fields["height"],
                width=fields["width"],
                classes=tuple(fields["classes"]),
                mean=tuple(fields["mean"]),
                std=tuple(fields["std"]),
                whitening=Zca(fields["whitening"], folder / WHITENING) if "whitening" in fields else None,
            )
            known = {key: fields[key] for key in ("identity", "source", "counts", "sha256", "content")}
            return cls(info, **known, origin=fields.get("origin", {}))
        except (FileNotFoundError, NotADirectoryError):
            inside = sorted(found.parent.name for found in folder.glob("*/info.json"))
            if inside:
                raise CondenseryError(
                    f"{folder}: holds the prepared data sets {', '.join(inside)}; give the folder of one, "
                    f"such as {folder / inside[0]}"
                ) from None
            raise CondenseryError(
                f"{folder}: no prepared data set (no info.json); {again.replace(' again', '')}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CondenseryError(f"{path}: damaged ({type(error).__name__}: {error}); {again}") from None


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def header(shape: tuple[int, ...], dtype: type[np.generic]) -> bytes:
    """Return the header of a .npy file (format 1.0), always 128 bytes, so that rows can be appended first."""
    descriptor = np.lib.format.dtype_to_descr(np.dtype(dtype))
    text = repr({"descr": descriptor, "fortran_order": False, "shape": shape})
    return b"\x93NUMPY\x01\x00\x76\x00" + text.encode("latin1").ljust(HEADER_BYTES - 11) + b"\n"


def load(prepared_dir: Path) -> RealData:
    """Open a prepared data set: compare every file with its checksum, then memory-map the images.

    The comparison reads each file once, at about 1 GB/s from the page cache, and keeps nothing in memory.

    Raises:
        CondenseryError: the folder is not complete, or the size, type, labels or SHA-256 of a file differ
            from info.json.
    """
    described = Description.read(prepared_dir)
    info = described.info
    parts = []

    def opened(name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        return _open(prepared_dir / name, shape, dtype, described.sha256.get(name, ""))

    for split in SPLITS:
        count = described.counts[split]
        images = opened(f"{split}_images.npy", (count, info.channels, info.height, info.width), np.uint8)
        labels = np.array(opened(f"{split}_labels.npy", (count,), np.int64))
        if count and not 0 <= labels.min() <= labels.max() < len(info.classes):
            raise CondenseryError(
                f"{prepared_dir / f'{split}_labels.npy'}: labels outside 0 to {len(info.classes) - 1}; "
                "remove the folder and prepare it again"
            )
        parts.append(Split(images, labels, info))
    if info.whitening:
        _check_whitening(info.whitening, described.sha256.get(WHITENING, ""))
    train, test = parts
    return RealData(info, train, test, described.seen(), described.files())


def _check_whitening(zca: Zca, wanted: str) -> None:
    again = "remove the folder and prepare it again"
    try:
        found = file_sha256(zca.path)
    except OSError as error:
        raise CondenseryError(f"{zca.path}: cannot be read ({error}); {again}") from None
    if found != wanted:
        raise CondenseryError(f"{zca.path}: altered since it was prepared; {again}")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rows_in_file(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> Iterator[np.ndarray]:
    """Yield a prepared array from its file in pieces of a few megabytes.

    Args:
        path: the .npy file.
        shape: the shape of one row.
        dtype: the type of the values.
    """
    row = int(np.prod(shape))
    step = max(1, READ_BYTES // row)
    with path.open("rb") as stream:
        stream.seek(HEADER_BYTES)
        while (values := np.fromfile(stream, dtype=dtype, count=step * row)).size:
            yield values.reshape(-1, *shape)


def content_checksum(images: Iterable[np.ndarray], labels: np.ndarray) -> str:
    """Return a checksum of the set of labeled images, independent of their order and file format.

    Each image gives a SHA-256 of its C * H * W bytes and its label (8 bytes, little-endian); the checksum is
    the SHA-256 of these digests in sorted order. Equal checksums identify two sources of the same data set.

    Args:
        images: uint8 (n, C, H, W), in pieces.
        labels: integers (N,).
    """
    tails = iter(labels.astype("<i8"))
    digests = [
        hashlib.sha256(image.tobytes() + next(tails).tobytes()).digest()
        for piece in images
        for image in piece
    ]
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def _open(path: Path, shape: tuple[int, ...], dtype: type[np.generic], checksum: str) -> np.ndarray:
    again = "remove the folder and prepare it again"
    wanted = HEADER_BYTES + int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        size = path.stat().st_size
        if size != wanted:
            raise CondenseryError(f"{path}: truncated or altered ({size} bytes instead of {wanted}); {again}")
        if checksum and file_sha256(path) != checksum:
            raise CondenseryError(
                f"{path}: altered since it was prepared (its SHA-256 differs from info.json); {again}"
            )
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CondenseryError(f"{path}: cannot be read ({error}); {again}") from None
    if array.shape != shape or array.dtype != dtype:
        raise CondenseryError(
            f"{path}: holds {array.dtype} {array.shape} instead of {np.dtype(dtype)} {shape}; {again}"
        )
    return array
