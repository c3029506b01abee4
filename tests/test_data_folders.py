"""Image folders, Tiny ImageNet's layout and the downsampled ImageNet batches."""

from __future__ import annotations

import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from condensery.data import folders as folders_module
from condensery.data import load, prepare
from condensery.data.imagenet import BATCHES
from condensery.errors import CondenseryError

RNG = np.random.default_rng(0)


def entry(source, classes, size=(8, 8), channels=3):
    spec = {"channels": channels, "size": list(size), "classes": classes, "mean": "auto", "std": "auto"}
    return {**spec, "sources": [source]}


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def images(split):
    return np.asarray(split.images)


@pytest.fixture
def colors(tmp_path):
    """Seven PNG images of the prepared size in two classes; folder and file names give the order."""
    pixels = {}
    for name in ("train/b/1", "train/b/0", "train/a/deep/2", "train/a/9", "val/a/x", "val/b/y", "val/b/z"):
        pixels[name] = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        save(tmp_path / "own" / f"{name}.png", pixels[name])
    (tmp_path / "own/train/a/notes.txt").write_text("not an image")
    return tmp_path, pixels


@pytest.mark.parametrize("per_part", [1, 3, 100])
def test_an_image_folder_is_read_class_by_class_in_sorted_order(colors, monkeypatch, per_part):
    root, pixels = colors
    monkeypatch.setattr(folders_module, "IMAGES_PER_PART", per_part)
    prepare("own", entry({"kind": "image-folder", "path": "own"}, 2), root, root / "out")
    data = load(root / "out")
    assert data.info.classes == ("a", "b")
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1, 1]
    order = ["train/a/9", "train/a/deep/2", "train/b/0", "train/b/1"]
    assert np.array_equal(images(data.train), np.stack([pixels[p].transpose(2, 0, 1) for p in order]))
    train = images(data.train) / 255
    assert data.info.mean == pytest.approx(train.mean(axis=(0, 2, 3)), abs=6e-5)
    assert data.info.std == pytest.approx(train.std(axis=(0, 2, 3)), abs=6e-5)


def test_images_become_rgb_or_grey_are_cut_to_the_centre_and_resized(tmp_path):
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = (200, 100, 50)
    fine = np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8), (64, 64))
    save(tmp_path / "own/train/a/0.png", wide)
    save(tmp_path / "own/train/a/1.png", fine)
    save(tmp_path / "own/test/a/0.png", wide)
    prepare("own", entry({"kind": "image-folder", "path": "own"}, 1), tmp_path, tmp_path / "rgb")
    cut, averaged = images(load(tmp_path / "rgb").train)
    # The centre third has one colour; a chequerboard finer than the pixels is grey only if antialiased.
    assert np.array_equal(cut, np.broadcast_to(np.array([200, 100, 50]).reshape(3, 1, 1), (3, 8, 8)))
    assert np.abs(averaged.astype(int) - 127.5).max() <= 2
    prepare("own", entry({"kind": "image-folder", "path": "own"}, 1, channels=1), tmp_path, tmp_path / "grey")
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert np.abs(images(load(tmp_path / "grey").train)[0] - luma).max() <= 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda own: (own / "train/b/0.png").write_bytes((own / "train/b/0.png").read_bytes()[:150]),
            r"0.png: trunc",
        ),
        (lambda own: save(own / "val/c/0.png", np.zeros((8, 8, 3), np.uint8)), r"val/c: no training images"),
        (lambda own: (own / "val").rename(own / "elsewhere"), r"test: no such folder"),
        (lambda own: [file.unlink() for file in (own / "val").rglob("*.png")], r"val: holds no images"),
        (lambda own: save(own / "train/c/0.png", np.zeros((8, 8, 3), np.uint8)), r"3 classes.* has 2"),
    ],
)
def test_a_damaged_folder_is_one_line_and_leaves_nothing(colors, damage, message):
    root, _ = colors
    damage(root / "own")
    with pytest.raises(CondenseryError, match=message) as caught:
        prepare("own", entry({"kind": "image-folder", "path": "own"}, 2), root, root / "out")
    assert "\n" not in str(caught.value)
    assert not (root / "out").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_tiny_imagenet_takes_test_labels_from_its_annotations(tmp_path, zipped):
    root, pixels = tmp_path / "tiny-imagenet-200", {}
    for wnid in ("n02", "n01"):
        for k in range(2):
            pixels[wnid, k] = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            save(root / "train" / wnid / "images" / f"{wnid}_{k}.png", pixels[wnid, k])
    for name in ("val_0.png", "val_1.png", "val_10.png"):
        pixels[name] = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        save(root / "val/images" / name, pixels[name])
    rows = [("val_1.png", "n01"), ("val_0.png", "n02"), ("val_10.png", "n02")]
    (root / "val/val_annotations.txt").write_text("".join(f"{f}\t{w}\t0\t0\t9\t9\n" for f, w in rows))
    path = root.name
    if zipped:
        path = "tiny.zip"
        with zipfile.ZipFile(tmp_path / path, "w") as bundle:
            for file in root.rglob("*"):
                bundle.write(file, file.relative_to(tmp_path))
    prepare("tiny", entry({"kind": "tinyimagenet", "path": path}, 2), tmp_path, tmp_path / "out")
    data = load(tmp_path / "out")
    assert data.info.classes == ("n01", "n02")
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(images(data.train)[2], pixels["n02", 0].transpose(2, 0, 1))
    assert data.test.labels.tolist() == [1, 0, 1]
    assert np.array_equal(images(data.test)[1], pixels["val_1.png"].transpose(2, 0, 1))


@pytest.fixture
def batches(tmp_path):
    """Eleven batches of five 8x8 images in four classes, as arrays."""
    batches = {}
    for name in BATCHES:
        rows = RNG.integers(0, 256, (5, 192), dtype=np.uint8)
        batches[name] = {"data": rows, "labels": RNG.integers(1, 5, 5).tolist(), "mean": rows.mean(axis=0)}
    return batches


def write_batches(folder, batches, npz):
    folder.mkdir()
    for name, batch in batches.items():
        if npz:
            np.savez(folder / f"{name}.npz", **batch)
        else:
            (folder / name).write_bytes(pickle.dumps(batch))


@pytest.mark.parametrize("npz", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_imagenet_batches(tmp_path, batches, npz, named, monkeypatch):
    monkeypatch.setattr("condensery.data.imagenet.ROWS", 2)
    write_batches(tmp_path / "imagenet64", batches, npz)
    published = ["n30", "n10", "n40", "n20"]
    if named:
        lines = [f"{wnid} {number} some_name\n" for number, wnid in enumerate(published, 1)]
        (tmp_path / "imagenet64/map_clsloc.txt").write_text("".join(lines))
    prepare("im", entry({"kind": "imagenet-batches", "path": "imagenet64"}, 4), tmp_path, tmp_path / "out")
    data = load(tmp_path / "out")
    assert data.info.classes == (("n10", "n20", "n30", "n40") if named else ("0", "1", "2", "3"))
    rows = np.concatenate([batches[name]["data"] for name in BATCHES[:-1]]).reshape(-1, 3, 8, 8)
    numbers = [n for name in BATCHES[:-1] for n in batches[name]["labels"]]
    assert np.array_equal(images(data.train), rows)
    assert np.array_equal(images(data.test), batches["val_data"]["data"].reshape(-1, 3, 8, 8))
    if named:
        assert [data.info.classes[c] for c in data.train.labels] == [published[n - 1] for n in numbers]
    else:
        assert data.train.labels.tolist() == [n - 1 for n in numbers]


@pytest.mark.parametrize("npz", [True, False])
@pytest.mark.parametrize("damage", ["cut", "labels", "missing"])
def test_damaged_imagenet_batches_are_refused(tmp_path, batches, npz, damage):
    if damage == "labels":
        batches["train_data_batch_4"]["labels"][2] = 0
    write_batches(tmp_path / "imagenet64", batches, npz)
    victim = tmp_path / "imagenet64" / ("train_data_batch_4.npz" if npz else "train_data_batch_4")
    if damage == "cut":
        victim.write_bytes(victim.read_bytes()[:600])
    if damage == "missing":
        victim.unlink()
    message = "lacks train_data_batch_4" if damage == "missing" else f"{victim.name}: truncated or altered"
    with pytest.raises(CondenseryError, match=message):
        prepare(
            "im", entry({"kind": "imagenet-batches", "path": "imagenet64"}, 4), tmp_path, tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
