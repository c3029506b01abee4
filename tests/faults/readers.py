"""The readers of foreign files, each with a small valid file and a reading function.

`python -m tests.faults.readers NAME [FOLDER]` fuzzes one of them with atheris, guided by coverage, until it
is interrupted or an error other than a refusal occurs; FOLDER keeps the inputs that reach new code.
"""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import pickle
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.io import savemat

from condensery import exchange
from condensery.data import DataInfo, kinds, load, prepare
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.reporting import tables
from condensery.reporting.cells import COLUMNS
from condensery.synthetic import SyntheticSet
from tests.scripts import ROOT

DRAW = np.random.default_rng(0)
LABELS = np.arange(10)
GRAY = DRAW.integers(0, 256, (10, 8, 8), dtype=np.uint8)
RGB = DRAW.integers(0, 256, (10, 3, 8, 8), dtype=np.uint8)
INFO = DataInfo("digits", 1, 8, 8, tuple("0123456789"), (0.5,), (0.25,))


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        files: name -> contents of the files that it reads from a folder; the first file is the one to change.
        read: reads the folder; raises `CondenseryError`, and nothing else, for files that it cannot use.
    """

    files: Mapping[str, bytes]
    read: Callable[[Path], object]

    def try_with(self, data: bytes, folder: Path) -> bool:
        """Read the folder with other data in the first file; return whether it was refused.

        Raises:
            Exception: any error other than a refusal.
        """
        shutil.rmtree(folder, ignore_errors=True)
        for name, whole in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(whole)
        first = next(iter(self.files))
        (folder / first).write_bytes(data)
        try:
            self.read(folder)
        except CondenseryError:
            return True
        return False


def _spec(kind: str, path: str, channels: int, *, size: int = 8, classes: int = 10) -> dict[str, Any]:
    values = {"mean": "auto", "std": "auto", "sources": [{"kind": kind, "path": path}]}
    return {"channels": channels, "size": [size, size], "classes": classes, **values}


def _prepared(folder: Path, spec: Mapping[str, Any], *, checked: bool = True) -> object:
    """Prepare a data set; with ``checked=False`` its files need not have the published checksums."""
    out = folder / "out"
    kind = spec["sources"][0]["kind"]
    known = kinds.KINDS[kind]
    if not checked:
        kinds.KINDS[kind] = lambda: kinds.Kind(known().read)
    try:
        prepare("made", spec, folder, out)
    finally:
        kinds.KINDS[kind] = known
    return load(out)


def _of_kind(kind: str, path: str, channels: int, **more: Any) -> Callable[[Path], object]:
    checked = more.pop("checked", True)
    return partial(_prepared, spec=_spec(kind, path, channels, **more), checked=checked)


def _saved(write: Callable[..., object], value: Any) -> bytes:
    stream = io.BytesIO()
    write(stream, value)
    return stream.getvalue()


def _arrays(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _torch(value: Any, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def _idx(magic: int, array: np.ndarray) -> bytes:
    return np.array([magic, *array.shape], ">u4").tobytes() + array.astype(np.uint8).tobytes()


def _image(suffix: str, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB[0].transpose(1, 2, 0)).convert(mode).save(stream, suffix)
    return stream.getvalue()


IDX = {
    "m/train-images-idx3-ubyte": _idx(0x803, GRAY),
    "m/train-labels-idx1-ubyte": _idx(0x801, LABELS),
    "m/t10k-images-idx3-ubyte": _idx(0x803, GRAY),
    "m/t10k-labels-idx1-ubyte": _idx(0x801, LABELS),
}
BATCH = {"data": DRAW.integers(0, 256, (10, 3072), dtype=np.uint8), "labels": LABELS.tolist()}
CIFAR = {f"c/data_batch_{n}": pickle.dumps(BATCH, protocol=2) for n in range(1, 6)} | {
    "c/test_batch": pickle.dumps(BATCH, protocol=2),
    "c/batches.meta": pickle.dumps({"label_names": list("abcdefghij")}, protocol=2),
}
IMAGENET = {"data": RGB.reshape(10, -1), "labels": (LABELS + 1).tolist(), "mean": np.zeros(192)}
BATCH_NAMES = (*(f"train_data_batch_{n}" for n in range(1, 11)), "val_data")
USPS = "\n".join(f"{label + 1} " + " ".join(f"{i}:0.5" for i in range(1, 257)) for label in LABELS)
FOLDER = {
    f"f/{split}/{name}/{number}.png": _image("png")
    for split in ("train", "test")
    for name in ("rose", "tulip")
    for number in range(2)
}
TENSORS = {
    **{f"images_{split}": torch.from_numpy(RGB) for split in ("train", "val")},
    **{f"labels_{split}": torch.from_numpy(LABELS) for split in ("train", "val")},
    "classes": list("abcdefghij"),
}
SET = SyntheticSet(torch.randn(10, 1, 8, 8), torch.arange(10), INFO.classes, INFO.mean, INFO.std)


def _with_first(files: Mapping[str, bytes], first: str, data: bytes | None = None) -> dict[str, bytes]:
    return {first: files[first] if data is None else data, **{k: v for k, v in files.items() if k != first}}


def _tar(files: Mapping[str, bytes], how: Literal["w", "w:gz", "w:xz"]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=how) as bundle:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            bundle.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return stream.getvalue()


def _exported(export: Callable[[SyntheticSet, Path], object], name: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / name
        export(SET, path)
        files = [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]
        return {str(file.relative_to(temporary)): file.read_bytes() for file in files}


def _configuration() -> dict[str, bytes]:
    root = ROOT / "config"
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*.yaml"))}


def _read_set(read: Callable[[Path], SyntheticSet], folder: Path) -> None:
    read(folder).check_against(INFO)


def _read_foreign(name: str, folder: Path, zca: str | None = None) -> None:
    # Some layouts need an option; without it the reader would refuse them early.
    space: exchange.Space | None = "normalized" if folder.joinpath(name).suffix == ".pt" else None
    exchange.read(folder / name, INFO, space=space, zca=folder / zca if zca else None)


def _entry(folder: Path) -> object:
    config = load_config(folder, "smoke")
    return config.parameters("digits", "dm", "convnet", 1)


def _readers() -> Iterator[tuple[str, Reader]]:
    yield from _of_data()
    yield from _of_images()
    yield from _of_sets()
    yield from _of_published_layouts()
    cells = pd.DataFrame([{name: 1 for name in COLUMNS}]).to_csv(index=False)
    yield "table", Reader({"t.csv": cells.encode()}, lambda folder: tables.read_cells(folder / "t.csv"))
    configuration = _configuration()
    for name in ("config.yaml", "datasets.yaml", "methods.yaml", "recipes.yaml", "protocols/smoke.yaml"):
        yield name, Reader(_with_first(configuration, name), _entry)


def _of_data() -> Iterator[tuple[str, Reader]]:
    for name in list(IDX)[:2]:
        yield f"idx {name[8:14]}", Reader(_with_first(IDX, name), _of_kind("idx", "m", 1))
    packed = {f"{name}.gz": gzip.compress(data) for name, data in IDX.items()}
    yield "idx.gz", Reader(packed, _of_kind("idx", "m", 1))
    cifar = _of_kind("cifar10", "c", 3, size=32, checked=False)
    yield "cifar batch", Reader(CIFAR, cifar)
    yield (
        "cifar names",
        Reader(_with_first(CIFAR, "c/batches.meta"), cifar),
    )
    mat = _saved(lambda stream, value: savemat(stream, value, do_compression=True),
                 {"X": RGB.transpose(2, 3, 1, 0), "y": LABELS.reshape(-1, 1) + 1})  # fmt: skip
    mats = {f"{split}_32x32.mat": mat for split in ("train", "test")}
    yield "svhn", Reader(mats, _of_kind("svhn", ".", 3, checked=False))
    usps = {name: bz2.compress(USPS.encode()) for name in ("usps.bz2", "usps.t.bz2")}
    yield "usps", Reader(usps, _of_kind("usps", ".", 1, size=16, checked=False))
    milli: dict[str, np.ndarray] = {
        f"x_{split}_milli": np.zeros((10, 16, 16), np.int16) for split in ("train", "test")
    }
    milli |= {f"y_{split}": LABELS.astype(np.uint8) for split in ("train", "test")}
    yield "usps npz", Reader({"u.npz": _arrays(**milli)}, _of_kind("usps-npz", "u.npz", 1, size=16))
    med = {f"{s}_images": GRAY for s in ("train", "test")} | {
        f"{s}_labels": LABELS[:, None] for s in ("train", "test")
    }
    yield "medmnist", Reader({"m.npz": _arrays(**med)}, _of_kind("medmnist", "m.npz", 1))
    rows = _exported(exchange.to_parquet, "train.parquet")["train.parquet"]
    parts = {"p/train-0.parquet": rows, "p/validation-0.parquet": rows}
    yield "parquet", Reader(parts, _of_kind("parquet", "p", 1))
    yield "tensors", Reader({"t.pt": _torch(TENSORS)}, _of_kind("tensors", "t.pt", 3))
    for suffix, data in (("", pickle.dumps(IMAGENET)), (".npz", _arrays(**IMAGENET))):
        batches = {f"i/{name}{suffix}": data for name in BATCH_NAMES}
        yield f"imagenet batch{suffix}", Reader(batches, _of_kind("imagenet-batches", "i", 3))


def _of_images() -> Iterator[tuple[str, Reader]]:
    for suffix, mode in (("png", "RGB"), ("png", "P"), ("png", "LA"), ("jpeg", "RGB"), ("gif", "P"),
                         ("bmp", "RGB"), ("tiff", "RGB"), ("webp", "RGB")):  # fmt: skip
        first = f"f/train/rose/9.{suffix}"
        files = {first: _image(suffix, mode), **FOLDER}
        yield f"{suffix} {mode}", Reader(files, _of_kind("image-folder", "f", 3, classes=2))
    for ending, data in (("tar.gz", _tar(FOLDER, "w:gz")), ("tar.xz", _tar(FOLDER, "w:xz")),
                         ("tar", _tar(FOLDER, "w")), ("zip", _zip(FOLDER))):  # fmt: skip
        files = {f"f.{ending}": data}
        yield ending, Reader(files, _of_kind("image-folder", f"f.{ending}", 3, classes=2))


def _of_sets() -> Iterator[tuple[str, Reader]]:
    pt = {"data": [[SET.images, SET.labels]], "accs_all_exps": {"ConvNet": [np.float64(0.5)]}}
    for name, zipped in (("set pt", True), ("old set pt", False)):
        yield (
            name,
            Reader(
                {"s.pt": _torch(pt, zipped=zipped)},
                lambda folder: exchange.from_reference_pt(folder / "s.pt", INFO),
            ),
        )
    yield (
        "set npz",
        Reader(
            _exported(exchange.to_npz, "s.npz"),
            lambda folder: exchange.from_npz(folder / "s.npz").check_against(INFO),
        ),
    )
    png = _exported(exchange.to_png_folders, "s")
    for name in ("s/0_0/00000.png", "s/set.json"):
        yield (
            f"set {name[-4:]}",
            Reader(_with_first(png, name), lambda folder: exchange.from_png_folders(folder / "s", INFO)),
        )


def _of_published_layouts() -> Iterator[tuple[str, Reader]]:
    foreign = {
        "idc pt": {"s.pt": _torch([SET.images, SET.labels])},
        "mtt pt": {"images.pt": _torch(SET.images), "labels.pt": _torch(SET.labels), "lr.pt": _torch(0.1)},
        "mtt labels": {"labels.pt": _torch(SET.labels), "images.pt": _torch(SET.images)},
        "arrays pt": {"s.pt": _torch({"images": SET.images.numpy(), "labels": LABELS})},
        "kip npz": {"s.npz": _arrays(images=GRAY[..., None], labels=np.eye(10) - 0.1)},
        "set parquet": _exported(exchange.to_parquet, "s.parquet"),
    }
    for name, files in foreign.items():
        read = "images.pt" if "images.pt" in files else next(iter(files))
        yield name, Reader(files, partial(_read_foreign, read))
    zca = {"z.pt": _torch({"mean": np.zeros(64), "matrix": np.eye(64)}), "s.pt": foreign["idc pt"]["s.pt"]}
    yield "zca", Reader(zca, partial(_read_foreign, "s.pt", zca="z.pt"))


READERS = dict(_readers())


def main() -> None:
    """Fuzz one reader with atheris."""
    # pip install atheris, in an environment of its own
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    logging.disable()
    name, *corpus = sys.argv[1:]
    reader = READERS[name]
    folder = Path(tempfile.mkdtemp()) / "read"
    kept = Path(corpus[0]) if corpus else Path(tempfile.mkdtemp())
    kept.mkdir(exist_ok=True)
    (kept / "whole").write_bytes(next(iter(reader.files.values())))
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], str(kept)], lambda data: reader.try_with(data, folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
