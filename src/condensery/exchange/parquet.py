"""A synthetic set for the Hugging Face library `datasets`: as a Parquet file, or as a `datasets.Dataset`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from condensery.data import DataInfo
from condensery.data.contents import Shape, check_unpacked, readable
from condensery.data.parquet import columns, decoded
from condensery.errors import CondenseryError
from condensery.exchange.checks import for_data
from condensery.exchange.found import Found, labels_of
from condensery.exchange.png import class_indices
from condensery.files import atomic
from condensery.synthetic import SyntheticSet

if TYPE_CHECKING:
    import datasets

_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def to_parquet(synthetic: SyntheticSet, path: Path) -> None:
    """Write images and labels as `datasets` reads them: ``load_dataset("parquet", data_files=path)``.

    Raises:
        CondenseryError: the images are neither gray nor RGB.
    """
    table = _table(synthetic)
    with atomic(Path(path)) as temporary:
        pq.write_table(table, temporary)


def to_hf(synthetic: SyntheticSet) -> datasets.Dataset:
    """Return images and labels as a `datasets.Dataset` with the content of the Parquet file.

    Raises:
        CondenseryError: `datasets` is not installed, or the images are neither gray nor RGB.
    """
    try:
        import datasets
    except ImportError as error:
        raise CondenseryError(
            f"{synthetic.source}: cannot be made a datasets.Dataset without the library datasets; "
            "install it with `pip install datasets`"
        ) from error
    return datasets.Dataset(datasets.table.InMemoryTable(_table(synthetic)))


def _table(synthetic: SyntheticSet) -> pa.Table:
    """Return the columns and the metadata.

    The column ``image`` holds PNG images in [0, 1] space, rounded to 8 bits, and ``label`` the classes; the
    schema has their names. Soft labels are in ``soft_label``, and their most probable class in ``label``.
    Normalization, provenance and a formation above 1 are in the metadata of the file, under ``condensery``.

    Raises:
        CondenseryError: the images are neither gray nor RGB.
    """
    channels = synthetic.images.shape[1]
    if channels not in (1, 3):
        raise CondenseryError(f"{synthetic.source}: PNG holds 1 or 3 channels, not {channels}; use npz")
    pixels = synthetic.uint8_images().permute(0, 2, 3, 1).cpu().numpy()
    columns: dict[str, Any] = {
        "image": pa.array([{"bytes": _png(each), "path": None} for each in pixels], _IMAGE),
        "label": pa.array(synthetic.class_indices.tolist(), pa.int64()),
    }
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(synthetic.classes), "_type": "ClassLabel"},
    }
    if synthetic.labels.ndim == 2:
        columns["soft_label"] = pa.array(synthetic.labels.tolist(), pa.list_(pa.float32()))
        features["soft_label"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    about: dict[str, Any] = {"mean": synthetic.mean, "std": synthetic.std, "provenance": synthetic.provenance}
    if synthetic.formation > 1:
        about["formation"] = synthetic.formation
    metadata = {
        "huggingface": json.dumps({"info": {"features": features}}),
        "condensery": json.dumps(about, sort_keys=True),
    }
    return pa.table(columns).replace_schema_metadata(metadata)


def from_parquet(path: Path, info: DataInfo) -> SyntheticSet | None:
    """Read a file of `to_parquet`, its pixels within half an 8-bit step of the clamped values.

    Returns:
        The set, or None for a file that another program wrote.

    Raises:
        CondenseryError: the file is damaged, or does not match the data.
    """
    with readable(path):
        schema = pq.read_schema(path)
        text = (schema.metadata or {}).get(b"condensery")
        about = None if text is None else dict(json.loads(text))
    if about is None:
        return None
    found = of_parquet(path, info)
    with readable(path):
        mean, std = ([float(value) for value in about[name]] for name in ("mean", "std"))
        parts = int(about.get("formation", 1))
        provenance = dict(about["provenance"])
    pixels, labels = torch.from_numpy(found.images), labels_of(path, torch.from_numpy(found.labels), info)
    for name, mine, theirs in (("mean", mean, info.mean), ("std", std, info.std)):
        if not np.allclose(mine, theirs, atol=1e-4):
            raise CondenseryError(
                f"{path}: normalized with {name} {mine}, but {info.name} has {list(theirs)}; prepare the "
                "data with the set's values"
            )
    return for_data(
        path,
        info,
        images=info.seen(pixels),
        labels=labels,
        classes=info.classes,
        provenance=provenance | {"imported": {"format": "parquet", "file": path.name}},
        formation=parts,
    )


def of_parquet(path: Path, info: DataInfo) -> Found:
    """Return images and labels of a Parquet file, as `datasets` and other tools write them.

    `condensery.data.parquet` has the names of the columns. Images are encoded (bytes, or a struct with
    ``bytes``) or nested lists of pixels; labels are whole numbers, names, or lists with a number per class.
    If the file names its classes, whole numbers are mapped to the classes of these names.

    Args:
        path: the file.
        info: the data set.

    Raises:
        CondenseryError: the file is damaged, lacks a column, or has classes that the data set does not have.
    """
    image, label, names = columns(path)
    shape = Shape(info.channels, info.height, info.width)
    with readable(path):
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(number).total_byte_size for number in range(file.num_row_groups)]
        check_unpacked(
            path, max(sum(groups), file.metadata.num_rows * info.channels * info.height * info.width)
        )
        table = file.read([image, label])
        images, labels = table[image].to_pylist(), table[label].to_pylist()
        if not images or any(value is None for value in (*images, *labels)):
            raise ValueError("a row has no image or no label")
        if isinstance(images[0], bytes | dict):
            pixels = np.stack([decoded(path, value, shape) for value in images])
        else:
            pixels = np.array(images)
        if isinstance(labels[0], str):
            index = class_indices(path, dict.fromkeys(labels), info)
            labels = [index[label] for label in labels]
        elif names and not isinstance(labels[0], list):
            index = class_indices(path, names, info)
            labels = [index[names[label]] for label in labels]
        classes = np.array(labels, np.float32 if isinstance(labels[0], list) else np.int64)
    return Found(pixels, classes, "parquet")


def _png(pixels: np.ndarray) -> bytes:
    """Return an image (H, W, C) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).save(
        stream, "png"
    )
    return stream.getvalue()
