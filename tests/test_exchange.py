"""Formats of exchange: an exported set is imported unchanged, and a wrong file is refused in one line."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import pickle
import runpy
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from condensery import data, exchange
from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet

SCRIPTS = Path(__file__).parents[1] / "scripts"
CLASSES = ("cat", "dog / wolf", "frög", "../ship")
INFO = DataInfo("four", 3, 8, 6, CLASSES, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
GRAY = DataInfo("gray", 1, 8, 6, CLASSES, (0.2861,), (0.3530,))


def make(info: DataInfo = INFO, seed: int = 0, **changes: object) -> SyntheticSet:
    """Return a set of three images per class, with many pixels outside [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    fields = {
        "images": torch.randn(12, info.channels, info.height, info.width, generator=generator) * 2,
        "labels": torch.arange(4).repeat_interleave(3),
        "classes": info.classes,
        "mean": info.mean,
        "std": info.std,
        "provenance": {"experiment": {"seed": seed}},
    }
    return SyntheticSet(**(fields | changes))


SOFT = torch.softmax(torch.randn(12, 4, generator=torch.Generator().manual_seed(1)), dim=1)


def refused(function: object, *arguments: object) -> str:
    """Return the one line with which a call is refused."""
    with pytest.raises(CondenseryError) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# The .pt layout


def published(path: Path, accuracies: object, entry: list | None = None) -> Path:
    """Write a file in the layout of the authors' code."""
    synthetic = make()
    entry = entry if entry is not None else [synthetic.images, synthetic.labels]
    torch.save({"data": [entry], "accs_all_exps": accuracies}, path)
    return path


def test_pt_round_trip_is_exact(tmp_path: Path) -> None:
    sets = [make(seed=0), make(seed=1)]
    path = tmp_path / "res.pt"
    exchange.to_reference_pt(sets, path)
    for experiment, synthetic in enumerate(sets):
        back = exchange.from_reference_pt(path, INFO, experiment)
        assert torch.equal(back.images, synthetic.images)
        assert torch.equal(back.labels, synthetic.labels)
        assert (back.classes, back.mean, back.std) == (INFO.classes, INFO.mean, INFO.std)
        assert back.provenance["imported"]["experiment"] == experiment
        assert back.provenance["imported"]["file"] == "res.pt"


def test_pt_layout_is_what_the_authors_code_reads(tmp_path: Path) -> None:
    path = tmp_path / "res.pt"
    exchange.to_reference_pt([make(seed=0), make(seed=1)], path)
    content = torch.load(path, weights_only=True)
    assert set(content) == {"data", "accs_all_exps"}
    assert [len(entry) for entry in content["data"]] == [2, 2]
    images, labels = content["data"][1]
    assert torch.equal(images, make(seed=1).images)
    assert labels.dtype == torch.int64


def test_pt_bytes_do_not_depend_on_the_name(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        exchange.to_reference_pt([make()], tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def rewrite(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes of the pickle inside a file of torch.save."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    assert old in members[pickled]
    members[pickled] = members[pickled].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_published_files_with_numpy_accuracies_are_read_safely(tmp_path: Path) -> None:
    accuracies = {"ConvNet": [np.float64(0.631), np.float32(0.5)], "MLP": [np.int64(3), 0.2]}
    path = published(tmp_path / "res.pt", accuracies)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert torch.equal(exchange.from_reference_pt(path, INFO).images, make().images)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)  # the exception for NumPy numbers does not outlast the import


@pytest.mark.parametrize("name", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_both_spellings_of_numpy_are_read(tmp_path: Path, name: bytes) -> None:
    path = published(tmp_path / "res.pt", {"ConvNet": [np.float64(0.631)]})
    constructor = np.float64(0).__reduce__()[0].__module__.encode()
    rewrite(path, b"c" + constructor + b"\n", b"c" + name + b"\n")
    assert torch.equal(exchange.from_reference_pt(path, INFO).images, make().images)


def test_files_of_torch_before_1_6_are_read(tmp_path: Path) -> None:
    path = tmp_path / "res.pt"
    content = {"data": [[make().images, make().labels]], "accs_all_exps": {"ConvNet": [np.float64(0.6)]}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert torch.equal(exchange.from_reference_pt(path, INFO).images, make().images)


class Payload:
    """Creates a folder when an unsafe reader opens the file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.folder,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    path = published(tmp_path / "res.pt", Payload(target))
    assert "not safe to read" in refused(exchange.from_reference_pt, path, INFO)
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists(), "the payload does nothing, so that the test shows nothing"


def test_pt_files_of_another_layout_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "res.pt"
    read = exchange.from_reference_pt
    assert "no such file" in refused(read, path, INFO)
    path.write_bytes(b"hello")
    assert str(path) in refused(read, path, INFO)
    published(path, {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "not a complete file" in refused(read, path, INFO)
    for content in (torch.zeros(3), {"weights": torch.zeros(3)}, {"data": []}, {"data": torch.zeros(2)}):
        torch.save(content, path)
        assert "[images, labels]" in refused(read, path, INFO)
    published(path, {}, entry=[torch.zeros(3)])
    assert "experiment 0 is not [images, labels]" in refused(read, path, INFO)
    published(path, {})
    assert "experiments 0 to 0, not 1" in refused(read, path, INFO, 1)
    assert "not -1" in refused(read, path, INFO, -1)
    published(path, {}, entry=[make().images / 0, make().labels])
    assert "not finite" in refused(read, path, INFO)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": CLASSES[:3]}, "labels run from 0 to 3, but there are 3 classes"),
        ({"classes": (*CLASSES, "truck")}, "images of 4 classes, but four has 5"),
        ({"channels": 1, "mean": (0.5,), "std": (0.5,)}, "3 channels"),
        ({"height": 32}, "4 classes of 3x8x6, but four has 4 classes of 3x32x6"),
    ],
)
def test_a_pt_that_does_not_match_the_data_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    path = published(tmp_path / "res.pt", {})
    message = refused(exchange.from_reference_pt, path, dataclasses.replace(INFO, **changes))
    assert message.startswith(f"{path}: ")
    assert words in message


def test_images_normalized_otherwise_show_the_same_pixels(tmp_path: Path) -> None:
    path = published(tmp_path / "res.pt", {})
    other = dataclasses.replace(INFO, mean=(0.5071, 0.4866, 0.4409), std=(0.2673, 0.2564, 0.2762))
    back = exchange.from_reference_pt(path, other, normalization=(INFO.mean, INFO.std))
    for channel in range(3):
        shown = make().images[:, channel].double() * INFO.std[channel] + INFO.mean[channel]
        wanted = (shown - other.mean[channel]) / other.std[channel]
        torch.testing.assert_close(back.images[:, channel].double(), wanted, atol=1e-5, rtol=0)
    assert (back.mean, back.std) == (other.mean, other.std)
    assert "3 channels" in refused(exchange.from_reference_pt, path, other, 0, ((0.5,), (0.5,)))


def test_soft_labels_are_refused_in_a_pt(tmp_path: Path) -> None:
    message = refused(exchange.to_reference_pt, [make(labels=SOFT)], tmp_path / "res.pt")
    assert "soft labels" in message
    assert list(tmp_path.iterdir()) == []


def test_sets_of_different_data_do_not_share_a_pt(tmp_path: Path) -> None:
    assert "data set" in refused(exchange.to_reference_pt, [make(), make(GRAY)], tmp_path / "res.pt")


# NumPy archives


@pytest.mark.parametrize("rate", [None, 0.02, torch.linspace(0.01, 0.1, 7)])
@pytest.mark.parametrize("soft", [False, True])
def test_npz_round_trip_is_exact(tmp_path: Path, soft: bool, rate: float | torch.Tensor | None) -> None:
    synthetic = make(learning_rate=rate, **({"labels": SOFT} if soft else {}))
    exchange.to_npz(synthetic, tmp_path / "set.npz")
    back = exchange.from_npz(tmp_path / "set.npz")
    synthetic.save(tmp_path / "before")
    back.save(tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()
    exchange.to_npz(back, tmp_path / "again.npz")
    assert (tmp_path / "set.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_npz_is_read_by_numpy_alone_without_pickles(tmp_path: Path) -> None:
    exchange.to_npz(make(), tmp_path / "set.npz")
    with np.load(tmp_path / "set.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["images"], make().images.numpy())
        assert archive["classes"].tolist() == list(CLASSES)
        assert json.loads(archive["provenance"].item()) == {"experiment": {"seed": 0}}


def test_damaged_npz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    assert "no such file" in refused(exchange.from_npz, path)
    exchange.to_npz(make(), path)
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:-20], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert str(path) in refused(exchange.from_npz, path)
    np.savez(path, images=make().images.numpy())
    assert "no entry 'labels'" in refused(exchange.from_npz, path)
    np.save(path.with_suffix(".npy"), make().images.numpy())
    assert ".npy" in refused(exchange.from_npz, path.with_suffix(".npy"))
    np.savez(path, images=np.array([{}], dtype=object))
    assert str(path) in refused(exchange.from_npz, path)


# PNG folders


@pytest.mark.parametrize("info", [INFO, GRAY], ids=["rgb", "gray"])
def test_png_round_trip_is_within_half_a_step(tmp_path: Path, info: DataInfo) -> None:
    synthetic = make(info, labels=torch.tensor([3, 0, 1, 2] * 3), learning_rate=torch.tensor([0.5, 0.25]))
    exchange.to_png_folders(synthetic, tmp_path / "images")
    back = exchange.from_png_folders(tmp_path / "images", info)
    error = (back.unit_images().double() - synthetic.unit_images().double()).abs().max()
    assert 1e-4 < error <= 0.5 / 255 + 1e-6
    assert torch.equal(back.labels, synthetic.labels)
    assert torch.equal(back.learning_rate, synthetic.learning_rate)
    assert back.provenance["experiment"] == {"seed": 0}
    assert (back.classes, back.mean, back.std) == (info.classes, info.mean, info.std)
    # A second export and import changes nothing.
    exchange.to_png_folders(back, tmp_path / "again")
    assert torch.equal(exchange.from_png_folders(tmp_path / "again", info).images, back.images)


def test_png_files_are_named_by_class_and_show_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    exchange.to_png_folders(make(), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "0_cat",
        "1_dog_wolf",
        "2_fr_g",
        "3_ship",
        "set.json",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    assert sorted(path.name for path in (folder / "1_dog_wolf").iterdir()) == [
        f"{i:05d}.png" for i in (3, 4, 5)
    ]
    with Image.open(folder / "1_dog_wolf" / "00004.png") as image:
        assert image.mode == "RGB"
        pixels = np.asarray(image).astype(float)
    shown = make().images[4].double() * torch.tensor(INFO.std).reshape(3, 1, 1)
    shown = (shown + torch.tensor(INFO.mean).reshape(3, 1, 1)).clip(0, 1) * 255
    assert np.abs(pixels - shown.permute(1, 2, 0).numpy()).max() <= 0.5 + 1e-3
    index = json.loads((folder / "set.json").read_text())
    assert index["mean"] == list(INFO.mean)
    assert index["provenance"] == {"experiment": {"seed": 0}}


def test_soft_labels_travel_beside_the_png_files(tmp_path: Path) -> None:
    exchange.to_png_folders(make(labels=SOFT), tmp_path / "images")
    assert torch.equal(exchange.from_png_folders(tmp_path / "images", INFO).labels, SOFT)


def test_a_folder_of_anybodys_images_is_ordered_by_class_and_name(tmp_path: Path) -> None:
    for label in (3, 1, 0, 2):
        for position in (1, 0):
            path = tmp_path / "images" / f"{label}" / f"{position}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 8), (10 * label, position, 255)).save(path)
    back = exchange.from_png_folders(tmp_path / "images", INFO)
    assert back.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert back.uint8_images()[:, :, 0, 0].tolist() == [[10 * c, p, 255] for c in range(4) for p in range(2)]


def test_an_export_never_touches_a_folder_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert "not an empty folder" in refused(exchange.to_png_folders, make(), folder)
    assert "not an empty folder" in refused(exchange.to_png_folders, make(), folder / "mine.txt")
    assert [path.name for path in tmp_path.rglob("*")] == ["images", "mine.txt"]
    (folder / "mine.txt").unlink()
    exchange.to_png_folders(make(), folder)
    assert (folder / "set.json").exists()


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def fail_late(image: Image.Image, path: Path) -> None:
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        path.touch()

    monkeypatch.setattr(Image.Image, "save", fail_late)
    with pytest.raises(OSError, match="No space"):
        exchange.to_png_folders(make(), tmp_path / "images")
    assert list(tmp_path.iterdir()) == []


def test_png_needs_one_or_three_channels(tmp_path: Path) -> None:
    two = DataInfo("two", 2, 8, 6, CLASSES, (0.5, 0.5), (0.5, 0.5))
    assert "not 2" in refused(exchange.to_png_folders, make(two), tmp_path / "images")


def test_wrong_png_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    read = exchange.from_png_folders
    assert "no such folder" in refused(read, folder, INFO)
    folder.mkdir()
    assert "holds no" in refused(read, folder, INFO)
    exchange.to_png_folders(make(), folder)
    assert "8x6 pixels, but four has 9x6" in refused(read, folder, dataclasses.replace(INFO, height=9))
    other = dataclasses.replace(INFO, classes=("cat", "dog", "frog", "ship"))
    assert "class 1 is 'dog / wolf', but four calls it 'dog'" in refused(read, folder, other)
    image = folder / "0_cat" / "00000.png"
    image.write_bytes(image.read_bytes()[:40])
    assert f"{image}: truncated or altered" in refused(read, folder, INFO)
    image.unlink()
    assert f"{image}: listed in set.json but absent" in refused(read, folder, INFO)
    (folder / "set.json").write_text("{")
    assert "not JSON" in refused(read, folder, INFO)
    (folder / "set.json").unlink()
    (folder / "0_cat").rename(folder / "cat")
    assert "rename the folder" in refused(read, folder, INFO)


# Scripts


def script(name: str, *arguments: object) -> int:
    """Run a script in this process; return its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    return ended.value.code


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared data sets that has the 8x8 digits."""
    folder = tmp_path_factory.mktemp("prepared")
    spec = {
        "channels": 1,
        "size": [8, 8],
        "classes": [str(digit) for digit in range(10)],
        "mean": "auto",
        "std": "auto",
        "sources": [{"kind": "digits"}],
    }
    data.prepare("digits", spec, folder, folder / "digits")
    return folder


@pytest.fixture
def digits(prepared: Path) -> SyntheticSet:
    info = data.load(prepared / "digits").info
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return SyntheticSet(images, torch.arange(10).repeat(2), info.classes, info.mean, info.std)


@pytest.mark.parametrize(("kind", "exact"), [("pt", True), ("npz", True), ("png", False)])
def test_out_and_in_by_the_scripts(
    tmp_path: Path, prepared: Path, digits: SyntheticSet, kind: str, exact: bool
) -> None:
    digits.save(tmp_path / "seed0.safetensors")
    out = tmp_path / ("images" if kind == "png" else f"set.{kind}")
    assert script("export_set.py", tmp_path / "seed0.safetensors", "--format", kind, "--out", out) == 0
    back = tmp_path / "back.safetensors"
    assert (
        script("import_set.py", out, "--data", "digits", "--prepared", prepared / "digits", "--out", back)
        == 0
    )
    loaded = SyntheticSet.load(back)
    assert torch.equal(loaded.labels, digits.labels)
    if exact:
        assert torch.equal(loaded.images, digits.images)
    else:
        assert (loaded.unit_images() - digits.unit_images()).abs().max() <= 0.5 / 255 + 1e-6


def test_several_sets_become_the_experiments_of_one_pt(
    tmp_path: Path, prepared: Path, digits: SyntheticSet, capsys: pytest.CaptureFixture
) -> None:
    paths = [tmp_path / f"seed{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        dataclasses.replace(digits, images=digits.images + seed).save(path)
    out, back = tmp_path / "res.pt", tmp_path / "back.safetensors"
    assert script("export_set.py", *paths, "--format", "pt", "--out", out) == 0
    options = ("--data", "digits", "--prepared", prepared / "digits", "--out", back)
    assert script("import_set.py", out, *options, "--experiment", 2) == 0
    assert torch.equal(SyntheticSet.load(back).images, digits.images + 2)
    assert script("export_set.py", *paths, "--format", "npz", "--out", tmp_path / "no.npz") == 1
    assert capsys.readouterr().err.startswith("error: npz holds one set, got 3")


def test_an_import_of_other_data_ends_with_one_line_and_no_file(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture
) -> None:
    path, out = published(tmp_path / "res.pt", {}), tmp_path / "out.safetensors"
    assert (
        script("import_set.py", path, "--data", "digits", "--prepared", prepared / "digits", "--out", out)
        == 1
    )
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {path}: ")
    assert captured.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["set.bin"], "of unknown format"),
        (["set.pt", "--mean", "0.5"], "belong together"),
        (["set.npz", "--experiment", "1"], "omit --experiment"),
        (["set.npz", "--prepared", "nothing"], "nothing"),
    ],
)
def test_wrong_imports_are_one_line(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture, options: list[str], words: str
) -> None:
    arguments = [
        "--data",
        "digits",
        "--prepared",
        prepared / "digits",
        "--out",
        tmp_path / "out",
        *options[1:],
    ]
    assert script("import_set.py", tmp_path / options[0], *arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert not (tmp_path / "out").exists()


def test_gathering_by_the_script(tmp_path: Path, digits: SyntheticSet, capsys: pytest.CaptureFixture) -> None:
    digits = dataclasses.replace(digits, labels=torch.arange(10).repeat_interleave(2))
    digits.save(tmp_path / "whole")
    paths = []
    for part, (begin, end) in enumerate([(8, 20), (0, 8)]):
        paths.append(tmp_path / f"part{part}")
        cut = {"images": digits.images[begin:end], "labels": digits.labels[begin:end]}
        dataclasses.replace(digits, **cut, provenance={"shard": part}).save(paths[-1])
    assert script("gather.py", *paths, "--out", tmp_path / "joined") == 0
    assert (tmp_path / "joined").read_bytes() == (tmp_path / "whole").read_bytes()
    assert script("gather.py", paths[0], "--out", tmp_path / "half") == 1
    assert "no part holds class 0, 1, 2, 3" in capsys.readouterr().err
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("name", ["gather.py", "export_set.py", "import_set.py"])
def test_help_shows_an_example(name: str, capsys: pytest.CaptureFixture) -> None:
    assert script(name, "--help") == 0
    assert f"  python scripts/{name} " in capsys.readouterr().out


# ---- Parquet


@pytest.mark.parametrize("soft", [False, True])
def test_parquet_holds_what_hugging_face_reads(tmp_path: Path, soft: bool) -> None:
    synthetic = make(**({"labels": SOFT} if soft else {}))
    exchange.to_parquet(synthetic, tmp_path / "set.parquet")
    table = pq.read_table(tmp_path / "set.parquet")
    for entry, pixels in zip(table["image"].to_pylist(), synthetic.uint8_images(), strict=True):
        shown = np.array(Image.open(io.BytesIO(entry["bytes"])))
        assert np.array_equal(shown.reshape(pixels.shape[1], pixels.shape[2], -1), pixels.permute(1, 2, 0))
    assert table["label"].to_pylist() == synthetic.class_indices.tolist()
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"]["names"] == list(synthetic.classes)
    assert set(features) == set(table.column_names)
    if soft:
        assert torch.equal(torch.tensor(table["soft_label"].to_pylist()), SOFT)


@pytest.mark.parametrize("soft", [False, True])
def test_hugging_face_gets_images_and_names(soft: bool) -> None:
    datasets = pytest.importorskip("datasets")
    synthetic = make(**({"labels": SOFT} if soft else {}))
    found = synthetic.to_hf()
    assert isinstance(found, datasets.Dataset)
    assert len(found) == len(synthetic)
    assert found.features["label"].names == list(synthetic.classes)
    for line, pixels, index in zip(found, synthetic.uint8_images(), synthetic.class_indices, strict=True):
        shown = np.array(line["image"]).reshape(pixels.shape[1], pixels.shape[2], -1)
        assert np.array_equal(shown, pixels.permute(1, 2, 0))
        assert line["label"] == index
    if soft:
        assert torch.equal(torch.tensor(found["soft_label"]), SOFT)


def test_hugging_face_gets_the_table_of_the_parquet_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake: Any = ModuleType("datasets")
    fake.table = SimpleNamespace(InMemoryTable=lambda table: table)
    fake.Dataset = lambda table: table
    monkeypatch.setitem(sys.modules, "datasets", fake)
    synthetic = make()
    exchange.to_parquet(synthetic, tmp_path / "set.parquet")
    assert synthetic.to_hf().equals(pq.read_table(tmp_path / "set.parquet"), check_metadata=True)


def test_without_the_library_of_hugging_face_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CondenseryError, match="pip install datasets") as error:
        make().to_hf()
    assert "\n" not in str(error.value)


def test_a_changed_byte_of_a_pt_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    info = DataInfo("x", 1, 4, 4, tuple("ab"), (0.5,), (0.25,))
    images = torch.randn(2, 1, 4, 4)
    exchange.to_reference_pt([SyntheticSet(images, torch.arange(2), info.classes, info.mean, info.std)], path)
    whole = path.read_bytes()
    offset = whole.index(images.numpy().tobytes()) + 5
    path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
    with pytest.raises(CondenseryError, match=r"a\.pt: not a complete file"):
        exchange.from_reference_pt(path, info)


# ---- values that no normalized set has


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.arange(12 * 3 * 8 * 6).reshape(12, 3, 8, 6), "pixels up to 1727, which are not normalized"),
        (torch.full((12, 3, 8, 6), 255.5), "pixels up to 255.5, which are not normalized"),
        (torch.full((12, 3, 8, 6), 1e6), "pixels up to 1e.06, which are not normalized"),
        (torch.full((12, 3, 8, 6), math.nan), "not finite"),
    ],
)
def test_pixels_that_cannot_be_normalized_ones_are_refused(
    tmp_path: Path, images: torch.Tensor, words: str
) -> None:
    labels = torch.arange(12) % 4
    torch.save({"data": [[images, labels]]}, tmp_path / "a.pt")
    with pytest.raises(CondenseryError, match=words):
        exchange.from_reference_pt(tmp_path / "a.pt", INFO)


def test_whole_numbers_are_read_with_their_normalization(tmp_path: Path) -> None:
    pixels = torch.randint(
        0, 256, (12, 3, 8, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    torch.save({"data": [[pixels, torch.arange(12) % 4]]}, tmp_path / "a.pt")
    found = exchange.from_reference_pt(tmp_path / "a.pt", INFO, normalization=((0.0,) * 3, (0.0039216,) * 3))
    assert torch.equal(found.uint8_images(), pixels)


def test_labels_between_classes_are_refused(tmp_path: Path) -> None:
    torch.save({"data": [[make().images, torch.arange(12) % 4 + 0.5]]}, tmp_path / "a.pt")
    with pytest.raises(CondenseryError, match="labels are not whole numbers"):
        exchange.from_reference_pt(tmp_path / "a.pt", INFO)


def test_an_altered_index_of_png_files_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    exchange.to_png_folders(make(), folder)
    index = json.loads((folder / "set.json").read_text())
    assert index.pop("digest")
    (folder / "set.json").write_text(json.dumps(index))  # as earlier code wrote it
    exchange.from_png_folders(folder, INFO)
    (folder / "set.json").write_text(json.dumps(index | {"digest": "0" * 16}))
    assert "set.json: altered since it was written" in refused(exchange.from_png_folders, folder, INFO)
