"""Preparation: complete or absent, resumed, verified, and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from condensery import console
from condensery.augmentation import siamese
from condensery.commands import prepare as command_prepare
from condensery.data import folders, kinds, load, prepare
from condensery.data.storage import FILES, Description, file_sha256, header
from condensery.errors import CondenseryError

ROOT = Path(__file__).parents[1]
DIGITS = yaml.safe_load((ROOT / "config" / "datasets.yaml").read_text())["digits"]
FOLDER = {
    "channels": 3,
    "size": [8, 8],
    "classes": 2,
    "mean": "auto",
    "std": "auto",
    "sources": [{"kind": "image-folder", "path": "own"}],
}


def state(folder):
    return {
        file.name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_ino)
        for file in folder.iterdir()
    }


@pytest.fixture
def digits(tmp_path):
    prepare("digits", DIGITS, tmp_path / "raw", tmp_path / "digits")
    return tmp_path / "digits"


@pytest.fixture
def own(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(30):
        path = tmp_path / "own" / ("train" if k < 20 else "test") / "ab"[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (11, 9, 3), dtype=np.uint8)).save(path)
    return tmp_path


def test_a_complete_folder_is_left_alone(digits, tmp_path):
    before = state(digits)
    prepare("digits", DIGITS, tmp_path / "raw", digits)
    assert state(digits) == before
    assert sorted(before) == sorted([*FILES, "info.json"])


def test_a_changed_entry_is_prepared_again(digits, tmp_path):
    prepare("digits", {**DIGITS, "mean": [0.25]}, tmp_path / "raw", digits)
    assert load(digits).info.mean == (0.25,)


@pytest.mark.parametrize("name", FILES)
def test_truncated_and_altered_files_are_found_on_loading(digits, name):
    load(digits)
    whole = (digits / name).read_bytes()
    (digits / name).write_bytes(whole[:-1])
    with pytest.raises(CondenseryError, match=f"{name}: truncated or altered"):
        load(digits)
    middle = len(whole) // 2 // 8 * 8
    (digits / name).write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(CondenseryError, match=f"{name}: altered"):
        load(digits)


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_that_are_no_class_are_found_on_loading(digits, label):
    labels = np.load(digits / "train_labels.npy")
    labels[3] = label
    (digits / "train_labels.npy").write_bytes(header(labels.shape, np.int64) + labels.tobytes())
    described = Description.read(digits)
    described.sha256["train_labels.npy"] = file_sha256(digits / "train_labels.npy")
    described.write(digits / "info.json")
    with pytest.raises(CondenseryError, match="labels outside 0 to 9"):
        load(digits)


def test_a_folder_without_its_description_is_not_prepared(digits):
    (digits / "info.json").unlink()
    with pytest.raises(CondenseryError, match="no prepared data set"):
        load(digits)


@pytest.mark.parametrize("text", ["", "{}", '{"layout": 99}', "[]"])
def test_a_damaged_description_is_one_line(digits, text):
    (digits / "info.json").write_text(text)
    with pytest.raises(CondenseryError, match=r"info.json: (damaged|written by another)"):
        load(digits)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_prepared_folder_is_prepared_again(digits, tmp_path, name):
    (digits / name).write_bytes(b"short")
    prepare("digits", DIGITS, tmp_path / "raw", digits)
    load(digits)


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (7, 1, 8, 8), (1_281_167, 3, 64, 64)])
def test_the_head_is_what_numpy_reads(tmp_path, shape):
    path = tmp_path / "made.npy"
    with path.open("wb") as stream:
        stream.write(header(shape, np.uint8))
        stream.truncate(128 + int(np.prod(shape)))
    if shape[0]:
        array = np.load(path, mmap_mode="r")
        assert (array.shape, array.dtype, array.offset) == (shape, np.uint8, 128)
    else:
        assert np.load(path).shape == shape


KILLED = """
import os, signal, sys
from pathlib import Path
from condensery.data import folders, prepare
folders.IMAGES_PER_PART = 4
inner = folders._image
def until(path, shape):
    if path.name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(path, shape)
folders._image = until
prepare("own", eval(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[2]) / "out")
"""


def stopped(own, victim, monkeypatch):
    """Prepare a folder, interrupted at one image."""
    inner = folders._image

    def until(path, shape):
        if path.name == victim:
            raise KeyboardInterrupt
        return inner(path, shape)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_image", until)
        with pytest.raises(KeyboardInterrupt):
            prepare("own", FOLDER, own, own / "out")


@pytest.mark.parametrize(("victim", "killed"), [("00.png", False), ("13.png", True), ("29.png", False)])
def test_a_stopped_preparation_goes_on_and_gives_the_same_bytes(own, monkeypatch, victim, killed):
    monkeypatch.setattr(folders, "IMAGES_PER_PART", 4)
    prepare("own", FOLDER, own, own / "undisturbed")
    if killed:
        words = [sys.executable, "-c", KILLED, repr(FOLDER), own, victim]
        assert subprocess.run(words, check=False, timeout=600).returncode == -signal.SIGKILL
    else:
        stopped(own, victim, monkeypatch)
    assert os.listdir(own / "out") == [".partial"]
    with pytest.raises(CondenseryError, match="no prepared data set"):
        load(own / "out")

    read, inner = [], folders._image
    monkeypatch.setattr(
        folders, "_image", lambda path, shape: (read.append(path.name), inner(path, shape))[1]
    )
    prepare("own", FOLDER, own, own / "out")
    # In order: training images of class a (even numbers), of class b (odd), then the test images likewise.
    order = [
        f"{k:02d}.png" for half in (range(20), range(20, 30)) for c in (0, 1) for k in half if k % 2 == c
    ]
    position = order.index(victim)
    first_of_part = position - (position % 20) % 4
    assert sorted(read) == sorted(order[first_of_part:])
    for name in (*FILES, "info.json"):
        assert (own / "out" / name).read_bytes() == (own / "undisturbed" / name).read_bytes()
    assert not (own / "out" / ".partial").exists()


def test_a_stopped_preparation_is_not_continued_from_other_files(own, monkeypatch):
    monkeypatch.setattr(folders, "IMAGES_PER_PART", 4)
    stopped(own, "13.png", monkeypatch)
    extra = own / "own/train/a/000.png"
    Image.fromarray(np.full((8, 8, 3), 77, dtype=np.uint8)).save(extra)
    prepare("own", FOLDER, own, own / "out")
    data = load(own / "out")
    assert len(data.train) == 21
    assert (np.asarray(data.train.images) == 77).all(axis=(1, 2, 3)).sum() == 1


def test_a_failed_change_leaves_the_complete_folder_as_it_was(own):
    prepare("own", FOLDER, own, own / "out")
    before = state(own / "out")
    (own / "own/train/a/02.png").write_bytes(b"no image")
    with pytest.raises(CondenseryError, match=r"02.png: truncated or altered"):
        prepare("own", {**FOLDER, "size": [6, 6]}, own, own / "out")
    assert state(own / "out") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 1}, r"unknown source kind 'nope'; there are cifar10"),
        (
            {"sources": [{"kind": "digits"}]},
            r"holds uint8 images of shape \(1, 8, 8\), not uint8 \(3, 8, 8\)",
        ),
        ({"sources": [{"kind": "digits"}], "channels": 1}, r"labels from 0 to 9 instead of 0 to 1"),
        ({"sources": [{"kind": "cifar10", "path": "gone"}]}, r"no source exists \(.*gone does not exist\)"),
    ],
)
def test_wrong_entries_are_one_line(tmp_path, change, message):
    spec = {**FOLDER, "sources": [{"kind": "nope", "path": "x"}], **change}
    with pytest.raises(CondenseryError, match=message):
        prepare("own", spec, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prepares_verifies_and_fails_on_one_line(tmp_path, monkeypatch, capsys):
    def command(*words):
        argv = ["prepare.py", "--config", str(ROOT / "config"), *words]
        monkeypatch.setattr(sys, "argv", argv)
        status = console.run(command_prepare.main)
        return status, [line for line in capsys.readouterr().err.splitlines() if "error" in line]

    monkeypatch.chdir(tmp_path)
    assert command("--data", "digits") == (0, [])
    prepared = tmp_path / "data/prepared/digits"
    assert json.loads((prepared / "info.json").read_text())["counts"] == {"train": 1442, "test": 355}
    assert command("--data", "digits", "--verify") == (0, [])

    with (prepared / "test_images.npy").open("r+b") as stream:
        stream.seek(5_000)
        stream.write(b"\xff\x00\xff")
    status, (line,) = command("--data", "digits", "--verify")
    assert status == 1
    assert line.startswith("error: data/prepared/digits/test_images.npy: altered")
    status, (line,) = command("--data", "digit")
    assert status == 1
    assert "no data set 'digit'; there are digits, mnist" in line


@pytest.mark.slow
def test_the_command_runs_alone_and_leaves_nothing_of_a_damaged_file(tmp_path):
    raw = tmp_path / "data/raw/MNIST/raw"
    raw.mkdir(parents=True)
    for name, _ in kinds.KINDS["mnist"]().members:
        (raw / name).write_bytes(b"damaged")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, ROOT / "scripts/prepare.py", "--data", "mnist", "--config", ROOT / "config"]
    run = subprocess.run(
        words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith("error: data/raw/MNIST/raw/train-images-idx3-ubyte.gz: truncated or altered")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "data/prepared/mnist").exists()


WITHOUT_TORCHVISION = """
import pathlib, sys
from condensery import data
from condensery.data import kinds
entry = {"channels": 1, "size": [8, 8], "classes": 10, "mean": "auto", "std": "auto"}
entry["sources"] = [{"kind": "digits"}]
data.prepare("digits", entry, pathlib.Path("raw"), pathlib.Path("digits"))
print("torchvision" in sys.modules)
kinds.KINDS["mnist"]()
print("torchvision" in sys.modules)
"""


@pytest.mark.slow
def test_only_what_is_published_by_torchvision_imports_it(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    words = [sys.executable, "-c", WITHOUT_TORCHVISION]
    run = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["False", "True"], run.stderr


def test_the_schema_lists_every_kind_of_source():
    schema = yaml.safe_load((ROOT / "src/condensery/schemas/datasets.schema.yaml").read_text())
    source = schema["additionalProperties"]["properties"]["sources"]["items"]["properties"]
    assert set(source["kind"]["enum"]) == set(kinds.KINDS)


def test_every_entry_of_the_configuration_is_regular():
    for name, entry in yaml.safe_load((ROOT / "config" / "datasets.yaml").read_text()).items():
        required = {"channels", "size", "classes", "mean", "std", "augmentation", "network", "sources"}
        assert required <= set(entry) <= required | {"title", "content", "smallest_class", "zca"}, name
        for values in (entry["mean"], entry["std"]):
            assert values == "auto" or len(values) == entry["channels"]
        assert all(source["kind"] in kinds.KINDS for source in entry["sources"])
        # Digits must not be mirrored; DSA's published settings leave flips out for them.
        flips = "flip" in siamese.parse(entry["augmentation"])
        assert flips == (name not in ("digits", "digits_inverted", "mnist", "svhn", "usps"))
        assert entry["network"] == ("convnet-d4" if entry["size"] == [64, 64] else "convnet")
