"""A changed byte in a file is detected on reading, or makes no difference."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from condensery.data import RealData, load, storage
from condensery.errors import CondenseryError
from condensery.files import read_tensors, write_tensors
from condensery.pool import store
from condensery.rows import SCHEMA, read_rows, write_rows
from condensery.run import Checkpoint
from condensery.synthetic import SyntheticSet
from tests.problems import real_data
from tests.test_reporting import row

TENSORS = {
    "images": torch.arange(48.0).reshape(2, 6, 2, 2),
    "scalar": torch.tensor(7, dtype=torch.uint8),
    "none": torch.zeros(0, 3),
    "half": torch.ones(5, dtype=torch.bfloat16),
    "seen": torch.tensor([True, False]),
}


def prepared(folder: Path) -> Path:
    """Write a prepared folder."""
    folder.mkdir()
    data = real_data(size=8)
    for split, part in (("train", data.train), ("test", data.test)):
        for name, array in (("images", part.images), ("labels", part.labels)):
            array = np.asarray(array, dtype=np.uint8 if name == "images" else np.int64)
            head = storage.header(array.shape, array.dtype.type)
            (folder / f"{split}_{name}.npy").write_bytes(head + array.tobytes())
    sums = {name: storage.file_sha256(folder / name) for name in storage.FILES}
    counts = {"train": len(data.train), "test": len(data.test)}
    description = storage.Description(data.info, "x", {"kind": "x"}, counts, sums, dict.fromkeys(counts, "y"))
    description.write(folder / "info.json")
    return folder


def pixels(data: RealData) -> tuple[Any, ...]:
    """Return all that a job reads of a data set."""
    splits = ((np.asarray(s.images).tobytes(), s.labels.tobytes()) for s in (data.train, data.test))
    return (*splits, data.info, dict(data.content), data.files)


def tensors_of(path: Path) -> Any:
    """Return the contents of a file of tensors in a comparable form."""
    tensors, about = read_tensors(path)
    shown = {name: (tensor.dtype, tensor.tolist()) for name, tensor in tensors.items()}
    return shown, about


def a_set(path: Path) -> SyntheticSet:
    """Write and return a synthetic set."""
    synthetic = SyntheticSet(
        torch.randn(4, 1, 4, 4), torch.arange(4), tuple("abcd"), (0.5,), (0.25,), {"experiment": {"ipc": 1}}
    )
    synthetic.save(path)
    return synthetic


def set_contents(path: Path) -> Any:
    """Return a set in a comparable form."""
    synthetic = SyntheticSet.load(path)
    return synthetic.digest(), synthetic.provenance


def pool_contents(path: Path) -> Any:
    """Return a pool in a comparable form."""
    members = store.Pool.open([path], "digits", "mlp").members
    return [(each.network, each.step, each.accuracy, each.weights().tolist()) for each in members]


def write_pool(path: Path) -> None:
    """Write a pool of one network in two states."""
    states = [store.State(0, step, 12.5 * step, torch.randn(9).half()) for step in (1, 2)]
    store.write(path, states, {"experiment": {"dataset": "digits", "network": "mlp", "networks": 1}})


def info_only(path: Path) -> Any:
    """Return the description of a prepared folder."""
    return storage.Description.read(path.parent)


FILES: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
    "set": ("a.safetensors", a_set, set_contents),
    "pool": ("a.safetensors", write_pool, pool_contents),
    "tensors": ("a.safetensors", lambda path: write_tensors(path, TENSORS, {"kind": "vae"}), tensors_of),
    "checkpoint": (
        "a",
        lambda path: Checkpoint(path, "run").save(12, TENSORS),
        lambda path: (
            None if (found := Checkpoint(path, "run").load()) is None else (found[0], tensors_of(path))
        ),
    ),
    "rows": (
        "a.parquet",
        lambda path: write_rows([row(0, k, 50.0 + k) for k in range(9)], path),
        lambda path: read_rows([path], "test").to_dict("records"),
    ),
    "images": (
        "p/train_images.npy",
        lambda path: prepared(path.parent),
        lambda path: pixels(load(path.parent)),
    ),
    "labels": (
        "p/test_labels.npy",
        lambda path: prepared(path.parent),
        lambda path: pixels(load(path.parent)),
    ),
    "description": ("p/info.json", lambda path: prepared(path.parent), info_only),
}


def read(contents: Callable[[Path], Any], path: Path) -> Any:
    """Return the contents of a file, or None if it is refused by an error that names it."""
    try:
        return contents(path)
    except CondenseryError as error:
        return None if path.name in str(error) else str(error)
    except ValueError as error:
        return None if contents is tensors_of else repr(error)


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_byte_is_noticed_or_makes_no_difference(tmp_path: Path, kind: str) -> None:
    name, write, contents = FILES[kind]
    path = tmp_path / name
    write(path)
    whole, expected = path.read_bytes(), contents(path)
    assert expected is not None
    draw = random.Random(kind)
    noticed = 0
    for number in range(200):
        damaged = bytearray(whole)
        position = draw.randrange(len(whole))
        damaged[position] ^= 1 << draw.randrange(8) if number % 2 else 0xFF
        path.write_bytes(damaged)
        found = read(contents, path)
        noticed += found is None
        assert found in (None, expected), f"byte {position} of {len(whole)} was changed unnoticed"
    assert noticed > 100


def test_files_without_digests_still_load(tmp_path: Path) -> None:
    synthetic = a_set(tmp_path / "a.safetensors")
    about = read_tensors(tmp_path / "a.safetensors")[1]
    text = json.dumps(about, sort_keys=True)
    save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "old", metadata={"condensery": text})
    assert SyntheticSet.load(tmp_path / "old").digest() == synthetic.digest()

    rows = pa.Table.from_pylist([row()], schema=SCHEMA)
    pq.write_table(rows, tmp_path / "old.parquet")
    assert len(read_rows([tmp_path / "old.parquet"], "test")) == 1

    info = prepared(tmp_path / "p") / "info.json"
    fields = json.loads(info.read_text())
    assert fields.pop("digest")
    info.write_text(json.dumps(fields))
    assert len(load(tmp_path / "p").train)


def test_a_tensor_that_is_missing_is_noticed(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", TENSORS, {})
    from safetensors import safe_open

    with safe_open(tmp_path / "a", "pt") as file:
        metadata = file.metadata()
    left = {name: tensor for name, tensor in TENSORS.items() if name != "seen"}
    save_file(left, tmp_path / "a", metadata=metadata)
    with pytest.raises(ValueError, match="not those that were written"):
        read_tensors(tmp_path / "a")
