"""Data sets from MedMNIST's archives and from Parquet files of Hugging Face."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from condensery.data import RealData, load, prepare
from condensery.errors import CondenseryError

DRAW = np.random.default_rng(0)
COLOR = DRAW.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def prepared(folder: Path, kind: str, path: str, channels: int = 3) -> RealData:
    spec: dict[str, Any] = {"channels": channels, "size": [8, 8], "classes": 3, "mean": "auto", "std": "auto"}
    prepare("made", {**spec, "sources": [{"kind": kind, "path": path}]}, folder, folder / "out")
    return load(folder / "out")


def encoded(image: np.ndarray) -> dict[str, Any]:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return {"bytes": stream.getvalue(), "path": "a.png"}


def write(path: Path, images: list[Any], labels: list[Any], names: list[str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    features = {"label": {"names": names, "_type": "ClassLabel"}} if names else {}
    table = pa.table({"image": images, "label": labels})
    text = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": text}), path)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_archive_of_medmnist(tmp_path: Path, channels: int) -> None:
    images = COLOR if channels == 3 else COLOR[..., 0]
    parts = {"train": images, "val": images[:3], "test": images[::-1]}
    arrays = {f"{split}_images": part for split, part in parts.items()}
    arrays |= {f"{split}_labels": np.resize(LABELS, (len(part), 1)) for split, part in parts.items()}
    np.savez(tmp_path / "m.npz", **arrays)
    data = prepared(tmp_path, "medmnist", "m.npz", channels)
    assert np.array_equal(data.train.images, COLOR.transpose(0, 3, 1, 2)[:, :channels])
    assert np.array_equal(data.test.images, COLOR[::-1].transpose(0, 3, 1, 2)[:, :channels])
    assert data.train.labels.tolist() == LABELS.tolist()


def test_an_archive_of_images_of_several_classes_each_is_refused(tmp_path: Path) -> None:
    labels = np.ones((6, 14), np.uint8)
    np.savez(
        tmp_path / "m.npz", train_images=COLOR, test_images=COLOR, train_labels=labels, test_labels=labels
    )
    with pytest.raises(CondenseryError, match=r"m\.npz: .*84 labels for 6 images") as caught:
        prepared(tmp_path, "medmnist", "m.npz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("test", ["test", "validation", "valid"])
def test_parquet_files_of_encoded_images_and_of_arrays(tmp_path: Path, test: str) -> None:
    names = ["cat", "dog", "eel"]
    images = [encoded(image) for image in COLOR]
    write(tmp_path / "p/data/train-00000-of-00002.parquet", images[:4], LABELS[:4].tolist(), names)
    write(tmp_path / "p/data/train-00001-of-00002.parquet", images[4:], LABELS[4:].tolist(), names)
    write(tmp_path / f"p/data/{test}-00000.parquet", COLOR.tolist(), LABELS.tolist())
    data = prepared(tmp_path, "parquet", "p")
    assert data.info.classes == tuple(names)
    for split in (data.train, data.test):
        assert np.array_equal(split.images, COLOR.transpose(0, 3, 1, 2))
        assert split.labels.tolist() == LABELS.tolist()


def test_encoded_images_of_224_pixels_are_resized_as_those_of_folders(tmp_path: Path) -> None:
    large = [np.asarray(Image.fromarray(image).resize((224, 224))) for image in COLOR]
    for split in ("train", "test"):
        write(tmp_path / f"p/{split}.parquet", [encoded(image) for image in large], LABELS.tolist())
        for number, (image, label) in enumerate(zip(large, LABELS, strict=True)):
            (tmp_path / f"f/{split}/{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / f"f/{split}/{label}/{number}.png")
    packed = np.asarray(prepared(tmp_path, "parquet", "p").train.images)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / "f").rename(folder / "f")
    laid = prepared(folder, "image-folder", "f")
    assert np.array_equal(packed[np.argsort(LABELS, kind="stable")], laid.train.images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([{"bytes": None, "path": "a.png"}] * 6, "names image files instead of holding them"),
        ([{"bytes": b"GIF", "path": ""}] * 6, "cannot identify image file"),
        ((COLOR / 255).tolist(), "whole numbers from 0 to 255"),
        ([None] * 6, "a row has no image"),
    ],
)
def test_what_no_image_is_made_of_is_refused(tmp_path: Path, images: list[Any], message: str) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"p/{split}.parquet", images, LABELS.tolist())
    with pytest.raises(CondenseryError, match=message) as caught:
        prepared(tmp_path, "parquet", "p")
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "p/train.parquet", COLOR.tolist(), LABELS.tolist())
    with pytest.raises(CondenseryError, match=r"has no test\*\.parquet"):
        prepared(tmp_path, "parquet", "p")
