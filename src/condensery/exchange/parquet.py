"""A synthetic set for the Hugging Face library `datasets`: as a Parquet file, or as its object."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from condensery.errors import CondenseryError
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
    """Return images and labels as a `datasets.Dataset`, with what the Parquet file holds.

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

    The column ``image`` holds PNG images in [0, 1] space rounded to 8 bits, ``label`` the class, whose names
    the file carries; a set with soft labels has them as ``soft_label``, and the most probable class as label.
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


def _png(pixels: np.ndarray) -> bytes:
    """Return an image (H, W, C) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).save(
        stream, "png"
    )
    return stream.getvalue()
