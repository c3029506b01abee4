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
    """Seven PNG images of the prepared size in two classes; the names of folders and files set the order."""
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


def test_images_become_rgb_or_gray_are_cut_to_the_center_and_resized(tmp_path):
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = (200, 100, 50)
    fine = np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8), (64, 64))
    save(tmp_path / "own/train/a/0.png", wide)
    save(tmp_path / "own/train/a/1.png", fine)
    save(tmp_path / "own/test/a/0.png", wide)
    prepare("own", entry({"kind": "image-folder", "path": "own"}, 1), tmp_path, tmp_path / "rgb")
    cut, averaged = images(load(tmp_path / "rgb").train)
    # The center third has one color; a checkerboard finer than the pixels is gray only if antialiased.
    assert np.array_equal(cut, np.broadcast_to(np.array([200, 100, 50]).reshape(3, 1, 1), (3, 8, 8)))
    assert np.abs(averaged.astype(int) - 127.5).max() <= 2
    prepare("own", entry({"kind": "image-folder", "path": "own"}, 1, channels=1), tmp_path, tmp_path / "gray")
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert np.abs(images(load(tmp_path / "gray").train)[0] - luma).max() <= 1


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


# ---- names, modes and files that are not images


def folder_of(root, pixels_of_class, split="train", name="0.png"):
    for class_name, image in pixels_of_class.items():
        path = root / "own" / split / class_name / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path)


def level(value, dtype=np.uint8):
    """Return an 8x8 image of one value with a darker corner."""
    image = np.full((8, 8), value, dtype=dtype)
    image[0, 0] = 0
    return image


def prepared(root, classes, channels=1):
    prepare(
        "own", entry({"kind": "image-folder", "path": "own"}, classes, channels=channels), root, root / "out"
    )
    return load(root / "out")


@pytest.mark.parametrize("names", [("tulip", "rose"), ("rose", "tulip"), ("2", "10"), ("c", "a", "b")])
def test_listed_names_go_with_the_folders_of_these_names(tmp_path, names):
    shades = {name: level(40 * (i + 1)) for i, name in enumerate(names)}
    for split in ("train", "test"):
        folder_of(tmp_path, shades, split)
    data = prepared(tmp_path, list(names))
    assert data.info.classes == names
    for split in (data.train, data.test):
        for label, image in zip(split.labels, images(split), strict=True):
            assert image.max() == shades[names[label]].max()


def test_names_that_the_folders_do_not_have_are_refused(tmp_path):
    for split in ("train", "test"):
        folder_of(tmp_path, {"rose": level(9), "tulip": level(8)}, split)
    with pytest.raises(CondenseryError, match=r"lists the classes daisy.*it has rose"):
        prepared(tmp_path, ["daisy", "tulip"])


@pytest.mark.parametrize(("count", "last"), [(10, "c9"), (11, "c9, ...")])
def test_ten_names_are_all_listed_and_of_more_the_first_ten(tmp_path, count, last):
    names = [f"c{c}" if c < 10 else f"d{c}" for c in range(count)]
    for split in ("train", "test"):
        folder_of(tmp_path, {name: level(9) for name in names}, split)
    listed = ", ".join(names[:9])
    with pytest.raises(CondenseryError, match=rf"has {count} classes \({listed}, {last}\), config"):
        prepared(tmp_path, 2)


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    for split in ("train", "test"):
        folder_of(tmp_path, {"dark": level(8_500, np.uint16), "light": level(51_000, np.uint16)}, split)
    assert images(prepared(tmp_path, 2).train).max(axis=(1, 2, 3)).tolist() == [33, 198]  # / 257, rounded


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_of_unknown_range_are_refused(tmp_path, dtype):
    for split in ("train", "test"):
        folder_of(tmp_path, {"a": level(1, dtype)}, split, "0.tif")
    with pytest.raises(CondenseryError, match=r"0\.tif: (floating-point|32-bit) pixels"):
        prepared(tmp_path, 1)


def test_transparent_pixels_are_white(tmp_path):
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[2:4, :, 3] = 255  # a black bar on a transparent ground
    for split in ("train", "test"):
        folder_of(tmp_path, {"bar": rgba}, split)
    (image,) = images(prepared(tmp_path, 1, channels=3).train)
    assert (image[:, 2:4] == 0).all()
    assert (image[:, :2] == 255).all()
    assert (image[:, 4:] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, orientation):
    upright = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    # EXIF 2.3: the stored rows and columns of the upright picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for split in ("train", "test"):
        path = tmp_path / "own" / split / "a" / "0.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert np.array_equal(images(prepared(tmp_path, 1).train)[0, 0], upright)


def test_leftovers_are_no_classes_and_no_images(tmp_path, caplog):
    for split in ("train", "test"):
        folder_of(tmp_path, {"rose": level(5)}, split)
    own = tmp_path / "own/train"
    for name in (".ipynb_checkpoints/a.png", "__MACOSX/a.png", "rose/._0.png", "rose/.thumbs/0.png"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(level(7)).save(own / name, format="png")
    (own / "rose/1.jfif").write_bytes(b"")
    with caplog.at_level("WARNING"):
        data = prepared(tmp_path, 1)
    assert len(data.train) == 1
    assert "1 .ipynb_checkpoints/, 1 .jfif, 1 .thumbs/, 1 __MACOSX/, 1 hidden" in caplog.text


def test_an_empty_class_and_constant_images_are_refused(tmp_path):
    for split in ("train", "test"):
        folder_of(tmp_path, {"rose": level(5)}, split)
    (tmp_path / "own/train/tulip").mkdir()
    with pytest.raises(CondenseryError, match=r"no training images of tulip"):
        prepared(tmp_path, 2)
    (tmp_path / "own/train/tulip").rmdir()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(tmp_path / "own/train/rose/0.png")
    with pytest.raises(CondenseryError, match="every pixel of every training image is 0"):
        prepared(tmp_path, 1)
    assert not (tmp_path / "out").exists()
