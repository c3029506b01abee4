"""Folders, archives and sets of users: correct images under correct names, or a one-line error."""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from string import ascii_uppercase

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as save_tensors

from condensery import exchange
from condensery.data import DataInfo, contents, load, prepare
from condensery.data.decoding import read_image
from condensery.errors import CondenseryError
from condensery.files import provenance_of
from condensery.pool.store import Pool
from condensery.reporting.description import describe
from condensery.run import Checkpoint
from condensery.synthetic import SyntheticSet
from condensery.training.pretrained import read_pretrained
from tests.archives import reads_tar

RNG = np.random.default_rng(0)
DIGITS = DataInfo("digits", 1, 8, 8, tuple("0123456789"), (0.3052,), (0.376,))


def entry(classes=2, **source):
    spec = {"channels": 1, "size": [8, 8], "classes": classes, "mean": "auto", "std": "auto"}
    return {**spec, "sources": [{"kind": "image-folder", "path": "own", **source}]}


def prepared(root, spec=None):
    prepare("own", spec or entry(), root, root / "out")
    return load(root / "out")


def refused(root, spec=None):
    with pytest.raises(CondenseryError) as caught:
        prepare("own", spec or entry(), root, root / "out")
    assert "\n" not in str(caught.value)
    assert not (root / "out").exists()
    return str(caught.value)


def gray(value, size=(8, 8)):
    pixels = np.full(size, value, np.uint8)
    pixels[0] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def own(tmp_path):
    """Roses of pixel value 100 and tulips of 200: three training images and one test image of each."""
    for split, count in (("train", 3), ("test", 1)):
        for name, value in (("rose", 100), ("tulip", 200)):
            folder = tmp_path / "own" / split / name
            folder.mkdir(parents=True)
            for k in range(count):
                gray(value).save(folder / f"{k}.png")
    return tmp_path / "own"


def values(data):
    largest = np.asarray(data.train.images).max(axis=(1, 2, 3)).tolist()
    return [(value, data.info.classes[c]) for value, c in zip(largest, data.train.labels, strict=True)]


USUAL = [(100, "rose")] * 3 + [(200, "tulip")] * 3


# ---- files of other programs in folders


def clutter(own):
    for folder in (own, own / "train", own / "train/rose", own / "test/rose"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"\0\0\0\1Bud1")


def checkpoints(own):
    for folder in (".ipynb_checkpoints", "rose/.ipynb_checkpoints", ".Trash-1000", "__MACOSX"):
        (own / "train" / folder).mkdir()
        gray(50).save(own / "train" / folder / "0-checkpoint.png")


def apple_double(own):
    (own / "train/rose/._0.png").write_bytes(b"\0\5\26\7\0\2\0\0Mac OS X")


@pytest.mark.parametrize(
    ("add", "listed"),
    [(clutter, "9 hidden"), (checkpoints, "2 .ipynb_checkpoints/, 1 __MACOSX/"), (apple_double, "1 hidden")],
)
def test_what_systems_leave_behind_is_left_out_and_said(own, add, listed, caplog):
    add(own)
    assert values(prepared(own.parent)) == USUAL
    lines = [record.message for record in caplog.records if "left out" in record.message]
    assert len(lines) == 1
    assert all(part in lines[0] for part in listed.split(", "))


def test_files_of_other_endings_are_counted_in_one_line(own, caplog):
    for k in range(2):
        (own / "train/rose" / f"{k}.jfif").write_bytes(b"")
        (own / "test/tulip" / f"{k}").write_bytes(b"")
    gray(7).save(own / "train/stray.png")
    (own / "train/rose/0.png").rename(own / "train/rose/0.PNG")
    assert values(prepared(own.parent)) == USUAL
    (line,) = [record.message for record in caplog.records if "left out" in record.message]
    assert "2 .jfif, 2 no ending, 1 outside of train/<class>/" in line


# ---- links


def test_links_are_followed_each_folder_once(own, caplog):
    elsewhere = own.parent / "elsewhere"
    (own / "train/tulip").rename(elsewhere)
    (own / "train/tulip").symlink_to(elsewhere)  # a class that is a link
    more = own.parent / "more"
    more.mkdir()
    gray(120).save(more / "9.png")
    (own / "train/rose/more").symlink_to(more)  # a folder inside of a class
    (more / "again").symlink_to(own / "train/rose")  # a loop
    (own / "train/rose/linked.png").symlink_to(own / "test/rose/0.png")
    wanted = sorted([*USUAL, (100, "rose"), (120, "rose")])
    assert sorted(values(prepared(own.parent))) == wanted
    assert "1 link to a folder that is read already" in caplog.text


@pytest.mark.parametrize("where", ["train/tulip/link.png", "train/tulip/more", "train/violet", "test/violet"])
@pytest.mark.parametrize("loop", [True, False])
def test_broken_links_are_named(own, where, loop):
    (own / where).symlink_to((own / where).name if loop else "/nowhere/x")
    assert f"{own / where}: a link to what does not exist" in refused(own.parent)


def test_what_is_no_file_is_named_and_not_waited_for(own):
    os.mkfifo(own / "train/rose/pipe.png")
    assert "pipe.png: not a file that can be read" in refused(own.parent)


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read everything")
def test_folders_that_may_not_be_read_are_named(own):
    (own / "train/rose").chmod(0)
    assert f"{own / 'train/rose'}: cannot be read (permission denied)" in refused(own.parent)


def test_an_error_of_the_system_is_not_called_damage(own, monkeypatch):
    def denied(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", denied)
    message = refused(own.parent)
    assert "0.png: cannot be read (permission denied)" in message
    assert "replace it" not in message


# ---- names


def test_one_name_in_two_normal_forms_is_one_class(own):
    name = "pâquerette"
    spelled = {"train": unicodedata.normalize("NFC", name), "test": unicodedata.normalize("NFD", name)}
    assert spelled["train"] != spelled["test"]
    for split, form in spelled.items():
        (own / split / "rose").rename(own / split / form)
    data = prepared(own.parent, entry(["tulip", unicodedata.normalize("NFD", name)]))
    assert data.info.classes == ("tulip", spelled["train"])
    assert sorted(values(data)) == sorted([(100, spelled["train"])] * 3 + [(200, "tulip")] * 3)
    assert data.test.labels.tolist() == [1, 0]


def test_any_name_of_a_class_will_do(own):
    names = ("Rösslein rot", "白い 花", 'a\'b "c" $x$', "{}")
    for split in ("train", "test"):
        (own / split / "rose").rename(own / split / names[0])
        (own / split / "tulip").rename(own / split / names[1])
        for name in names[2:]:
            (own / split / name).mkdir()
            gray(60).save(own / split / name / "0.png")
    data = prepared(own.parent, entry(4))
    assert set(data.info.classes) == set(names)
    assert (200, names[1]) in values(data)


def test_names_that_are_not_utf_8_are_named(own):
    path = os.fsencode(own) + b"/train/ros\xe9"
    os.mkdir(path)
    message = refused(own.parent)
    assert "ros\\xe9': the name of this class is not utf-8; rename it" in message
    os.rmdir(path)
    os.rename(own / "train/rose/0.png", os.fsencode(own) + b"/train/rose/\xe9.png")
    assert values(prepared(own.parent)) == USUAL


# ---- layouts and amounts


def move(own, **names):
    for old, new in names.items():
        (own / old).rename(own / new)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: move(own, train="a", test="b"), "lacks train, where train/<class>/<image>"),
        (lambda own: (own / "train/violet").mkdir(), r"3 classes (rose, tulip, violet), config"),
        (lambda own: gray(1).save(own / "train/rose/x.png") or move(own, test="b"), "test: no such folder"),
    ],
)
def test_other_layouts_are_refused_with_the_layout(own, change, message):
    change(own)
    assert message in refused(own.parent)


@pytest.mark.parametrize("test", ["Test", "val", "valid", "Validation", "VAL"])
@pytest.mark.parametrize("train", ["train", "Train"])
@pytest.mark.parametrize("archive", [False, True])
def test_splits_have_the_names_that_people_give_them(own, train, test, archive):
    move(own, train=train, test=test)
    name = "own.zip" if archive else "own"
    if archive:
        packed(own, name)
    assert values(prepared(own.parent, entry(path=name))) == USUAL


def test_the_test_folder_comes_before_that_of_validation(own):
    (own / "valid/rose").mkdir(parents=True)
    gray(1).save(own / "valid/rose/0.png")
    assert len(prepared(own.parent).test) == 2


def test_a_path_may_begin_with_the_home_folder(own, monkeypatch):
    monkeypatch.setenv("HOME", str(own.parent))
    assert values(prepared(own.parent / "elsewhere", entry(path="~/own"))) == USUAL


# ---- kinds of images


def encoded(image, **options):
    return lambda path: image.save(path, **options)


PALETTE = Image.new("P", (8, 8), 1)
PALETTE.putpalette([0, 0, 0, 90, 90, 90])
KEYED = np.full((8, 8), 51_400, np.uint16)
KEYED[0] = 7


@pytest.mark.parametrize(
    ("name", "write", "wanted"),
    [
        ("0.png", encoded(Image.fromarray(np.full((8, 8), 40_000, np.uint16))), 156),  # 40,000 / 257, rounded
        ("0.tif", encoded(Image.fromarray(np.full((8, 8), 40_000, np.uint16))), 156),
        ("0.jpg", encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 155)), quality=100), 100),  # 255 - K
        ("0.gif", encoded(PALETTE), 90),
        ("0.gif", encoded(PALETTE, transparency=1), 255),
        ("0.png", encoded(PALETTE, transparency=1), 255),
        ("0.png", encoded(Image.new("RGB", (8, 8), (9, 9, 9)), transparency=(9, 9, 9)), 255),
        ("0.png", encoded(Image.new("1", (8, 8), 1)), 255),
        ("0.png", encoded(Image.new("LA", (8, 8), (80, 0))), 255),  # transparent: on white
        ("0.webp", encoded(Image.new("RGB", (8, 8), (90, 90, 90)), lossless=True), 90),
        ("0.gif", lambda path: gray(70).save(path, save_all=True, append_images=[gray(90)]), 70),
        ("0.png", encoded(Image.new("L", (300, 20), 33)), 33),
        ("0.png", encoded(Image.new("L", (1, 1), 33)), 33),
    ],
    ids=[
        "16-bit png",
        "16-bit tiff",
        "cmyk",
        "palette",
        "clear gif",
        "clear png",
        "clear rgb",
        "1-bit",
        "alpha",
        "webp",
        "frames",
        "long",
        "tiny",
    ],
)
def test_images_of_any_kind(own, name, write, wanted):
    for k in range(3):
        (own / "train/rose" / f"{k}.png").unlink()
    write(own / "train/rose" / name)
    assert values(prepared(own.parent))[0] == (wanted, "rose")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, depth, color, width, row):
    """Write a PNG of one row of any bit depth and color type (PNG 1.2, sections 4.1.1 and 6)."""
    head = struct.pack(">IIBBBBB", width, 1, depth, color, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def write_tiff(path, values, photometric, order="<"):
    """Write a 16-bit gray TIFF (TIFF 6.0, section 2), in which 0 is white or black."""
    data = np.asarray(values).astype(f"{order}u2").tobytes()
    shorts = {256: values.shape[1], 257: values.shape[0], 258: 16, 259: 1, 262: photometric}
    shorts |= {273: 8 + 2 + 9 * 12 + 4, 277: 1, 278: values.shape[0], 279: len(data)}
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8)
    entries = [struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()]
    path.write_bytes(head + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + b"\0" * 4 + data)


@pytest.mark.parametrize(
    ("depth", "color", "width", "row", "wanted"),
    [
        (1, 0, 8, b"\x81", [255, 0, 0, 0, 0, 0, 0, 255]),
        (2, 0, 4, b"\x1b", [0, 85, 170, 255]),
        (4, 0, 4, b"\x0f\x85", [0, 255, 136, 85]),
        (16, 0, 3, struct.pack(">3H", 0, 33_023, 65_535), [0, 128, 255]),
        (16, 2, 2, struct.pack(">6H", *[33_023] * 3, *[65_535] * 3), [128, 255]),
        (16, 4, 2, struct.pack(">4H", 33_023, 65_535, 0, 0), [128, 255]),  # the second one is transparent
    ],
)
def test_png_files_of_any_bit_depth(tmp_path, depth, color, width, row, wanted):
    write_png(tmp_path / "a.png", depth, color, width, row)
    assert np.asarray(read_image(tmp_path / "a.png", 1)).tolist() == [wanted]


@pytest.mark.parametrize(("photometric", "order"), [(0, "<"), (1, "<"), (1, ">")])
def test_tiff_files_whose_zero_is_white_or_black(tmp_path, photometric, order):
    values = np.array([[0, 25_700], [65_535, 12_850]])
    write_tiff(tmp_path / "a.tif", values, photometric, order)
    wanted = np.array([[0, 100], [255, 50]])
    found = np.asarray(read_image(tmp_path / "a.tif", 1))
    assert np.array_equal(found, wanted if photometric else 255 - wanted)


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.png", "a.jpg"])
def test_every_format_is_turned_upright(tmp_path, name):
    upright = np.zeros((8, 16), np.uint8)
    upright[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored as it lies, to be turned by 90 degrees clockwise
    stored = Image.fromarray(np.rot90(upright).copy())
    stored.convert("RGB").save(tmp_path / name, exif=exif, quality=100, lossless=True)
    found = np.asarray(read_image(tmp_path / name, 1)).astype(int)
    assert found.shape == upright.shape
    assert np.abs(found - upright).max() <= 4


def test_a_transparent_16_bit_gray_is_white(own):
    Image.fromarray(KEYED).save(own / "train/rose/0.png", transparency=7)
    image = np.asarray(prepared(own.parent).train.images)[0, 0]
    assert image[0].tolist() == [255] * 8
    assert image[1].tolist() == [200] * 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot identify image file"),
        (b"<html>404</html>", "cannot identify image file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n", "cannot identify image file"),
        (None, "178,956,970 pixels"),
    ],
)
def test_what_is_no_image_is_named(own, content, message):
    path = own / "train/rose/1.png"
    if content is None:
        Image.new("1", (14_000, 14_000)).save(path)
    else:
        path.write_bytes(content)
    found = refused(own.parent)
    assert found.startswith(f"{path}: ")
    assert message in found


# ---- archives and compressed files


def packed(own, kind):
    if kind == "own.zip":
        with zipfile.ZipFile(own.parent / kind, "w", zipfile.ZIP_DEFLATED) as bundle:
            for file in sorted(own.rglob("*.png")):
                bundle.write(file, file.relative_to(own.parent))
    else:
        with tarfile.open(own.parent / kind, f"w:{kind[8:]}") as bundle:
            bundle.add(own, "own")
    return own.parent / kind


TARS = [pytest.param(f"own.tar.{kind}", marks=reads_tar) for kind in ("", "gz", "xz", "bz2")]


@pytest.mark.parametrize("kind", ["own.zip", *TARS])
def test_an_archive_is_read_and_a_bomb_is_not_unpacked(own, kind, monkeypatch):
    name = kind.rstrip(".")
    packed(own, kind).rename(own.parent / name)
    root = own.parent
    prepare("own", entry(path=name), root, root / "fine")
    assert values(load(root / "fine")) == USUAL
    Image.fromarray(np.zeros((2_000, 2_000), np.uint8)).save(own / "train/rose/zeros.bmp")
    with open(own / "train/rose/zeros.bmp", "ab") as file:
        file.truncate(16 * 2**20)
    monkeypatch.setattr(contents, "ALWAYS_UNPACKED", 2**20)
    if kind == "own.tar.":
        return
    packed(own, kind) if kind != "own.zip" else bomb(own)
    assert "over 100 times its size" in refused(root, entry(path=name))


def bomb(own):
    with zipfile.ZipFile(own.parent / "own.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("own/train/rose/0.png", b"\0" * 16 * 2**20)


OUTSIDE = os.path.join(os.sep, "tmp", "out-of-the-archive.png")


@pytest.mark.parametrize("name", ["../out.png", OUTSIDE, "own/../../out.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_archive_writes_outside(own, kind, name, tmp_path):
    archive = packed(own, "own.zip" if kind == "zip" else "own.tar.gz")
    if kind == "zip":
        with zipfile.ZipFile(archive, "a") as bundle:
            bundle.writestr(name, b"x")
    else:
        with tarfile.open(archive, "w:gz") as bundle:
            bundle.add(own, "own")
            bundle.addfile(tarfile.TarInfo(name), io.BytesIO())
    before = sorted(path for path in tmp_path.rglob("*.png"))
    try:
        prepare("own", entry(path=archive.name), tmp_path, tmp_path / "out")
    except CondenseryError as error:
        assert archive.name in str(error)  # noqa: PT017
    assert sorted(path for path in tmp_path.rglob("*.png")) == before
    assert not os.path.exists(OUTSIDE)


@reads_tar
@pytest.mark.parametrize("target", ["/etc", "../../../../.."])
def test_links_of_an_archive_do_not_lead_outside(own, target):
    with tarfile.open(own.parent / "own.tar.gz", "w:gz") as bundle:
        bundle.add(own, "own")
        link = tarfile.TarInfo("own/train/rose/more")
        link.type, link.linkname = tarfile.SYMTYPE, target
        bundle.addfile(link)
    assert "own.tar.gz: truncated or altered" in refused(own.parent, entry(path="own.tar.gz"))


@pytest.mark.parametrize("kind", ["own.tar.gz", "own.tar.xz", "own.zip"])
def test_a_changed_byte_of_an_archive_is_noticed(own, kind):
    archive = packed(own, kind)
    whole = archive.read_bytes()
    for position in (len(whole) // 2, len(whole) - 6 if kind == "own.tar.gz" else len(whole) // 3):
        archive.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :])
        assert kind in refused(own.parent, entry(path=kind))


def idx(values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return head + values.astype(np.uint8).tobytes()


def write_idx(root, images=None, labels=None, change=None):
    (root / "emnist").mkdir()
    for stem in ("train", "t10k"):
        found = RNG.integers(0, 256, (26, 8, 8)) if images is None else images
        known = np.arange(26) if labels is None else labels
        for name, data in (("images-idx3", idx(found)), ("labels-idx1", idx(known))):
            (root / "emnist" / f"{stem}-{name}-ubyte").write_bytes(change(data) if change else data)
    return entry(26, kind="idx", path="emnist")


def test_labels_that_count_from_one_are_named_as_such(tmp_path):
    message = refused(tmp_path, write_idx(tmp_path, labels=np.arange(1, 27)))
    assert "labels from 1 to 26 instead of 0 to 25; this source counts its classes from 1" in message


def test_labels_that_are_codes_of_letters_are_named_as_such(tmp_path):
    message = refused(tmp_path, write_idx(tmp_path, labels=np.array([ord(c) for c in ascii_uppercase])))
    assert (
        "labels from 65 to 90 instead of 0 to 25; this source has other numbers, such as codes of" in message
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images": np.zeros((0, 8, 8)), "labels": np.zeros(0)}, "holds no train images"),
        ({"images": np.zeros(()), "labels": np.zeros(())}, "not an idx file of unsigned bytes in 3 dim"),
        ({"labels": np.zeros((26, 1))}, "not an idx file of unsigned bytes in 1 dim"),
        ({"labels": np.zeros(25)}, r"labels of shape (25,) for 26 images"),
        ({"change": lambda data: data[:4] + b"\xff" * 4 + data[8:]}, "truncated or altered"),
    ],
)
def test_idx_files_that_hold_something_else(tmp_path, files, message):
    assert message in refused(tmp_path, write_idx(tmp_path, **files))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_compressed_file_has_a_limit(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(contents, "ALWAYS_UNPACKED", 2**20)
    path = tmp_path / f"zeros.{'gz' if pack is gzip.compress else 'bz2'}"
    path.write_bytes(pack(b"\0" * 2**24))
    with pytest.raises(CondenseryError, match="over 100 times its size"):
        contents.decompressed(path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (list("abcde"), r"labels such as \['a'\] are not whole numbers"),
        ([0.5, 1.0], r"labels such as \[0.5\] are not whole numbers"),
        ([[0, 1], [1, 0]], "not one number for each image"),
    ],
)
def test_labels_that_are_no_numbers_of_classes(labels, message):
    with pytest.raises(ValueError, match=message):
        contents.whole_numbers(labels)


def test_arrays_that_claim_more_than_the_file_are_refused_before_memory_is_taken(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue() + b"\0" * 64)
    with pytest.raises(CondenseryError, match=r"claims an array of shape \(1000000, 1000000\)"):
        contents.arrays_of_npz(tmp_path / "huge.npz")
    with pytest.raises(CondenseryError, match=r"huge.npz: .*claims an array"):
        exchange.from_npz(tmp_path / "huge.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": 255 * np.random.default_rng(0).random((2, 1, 8, 8), np.float32)}, "pixels up to 25"),
        ({"images": np.zeros((2, 1, 8, 8), np.uint8)}, "float32"),
        ({"images": np.zeros((0, 1, 8, 8), np.float32), "labels": np.zeros(0, np.int64)}, "holds no images"),
        ({"std": np.array([0.0])}, "no std greater than 0"),
        ({"provenance": np.array("3")}, "provenance must be a mapping"),
        ({"labels": np.array([0.5, 1.0])}, "labels must be"),
        ({"classes": np.array(5)}, "not a synthetic set"),
        ({"images": np.full((2, 1, 8, 8), np.nan, np.float32)}, "not finite"),
    ],
)
def test_an_npz_of_other_values_is_one_line(tmp_path, change, message):
    entries = {"images": np.zeros((2, 1, 8, 8), np.float32), "labels": np.array([0, 1])}
    entries |= {"classes": np.array(["a", "b"]), "mean": np.array([0.5]), "std": np.array([0.25])}
    np.savez(tmp_path / "fine.npz", **entries, provenance=np.array("{}"))
    assert len(exchange.from_npz(tmp_path / "fine.npz")) == 2
    np.savez(tmp_path / "a.npz", **({**entries, "provenance": np.array("{}")} | change))
    with pytest.raises(CondenseryError, match=r"a\.npz") as caught:
        exchange.from_npz(tmp_path / "a.npz")
    assert message in str(caught.value)


# ---- foreign sets


X = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(10).repeat_interleave(2)
SOFT = torch.softmax(torch.randn(20, 10, generator=torch.Generator().manual_seed(1)), 1)
HOT = torch.nn.functional.one_hot(Y, 10)


@pytest.mark.parametrize("labels", [SOFT, HOT, HOT.float(), SOFT.double()])
def test_a_probability_per_class_is_a_soft_label(tmp_path, labels):
    torch.save({"data": [[X, labels]]}, tmp_path / "a.pt")
    back = exchange.from_reference_pt(tmp_path / "a.pt", DIGITS)
    assert torch.equal(back.labels, labels.float())
    assert torch.equal(back.images, X)


@pytest.mark.parametrize("convert", [torch.Tensor.double, torch.Tensor.half, torch.nn.Parameter])
@pytest.mark.parametrize("labels", [Y.to(torch.int32), Y.float(), Y])
def test_numbers_of_any_type_are_read(tmp_path, convert, labels):
    torch.save({"data": ((convert(X), labels),)}, tmp_path / "a.pt")
    back = exchange.from_reference_pt(tmp_path / "a.pt", DIGITS)
    assert torch.equal(back.images, convert(X).detach().float())
    assert torch.equal(back.labels, Y)


class Evil:
    """Prints when it is unpickled."""

    def __reduce__(self):
        """Return a call for the reader to run."""
        return print, ("ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": [[X, Y + 1]]}, "count the 10 classes of digits from 1"),
        ({"data": [[X, Y - 1]]}, "labels run from -1 to 8"),
        ({"data": [[X[:18], Y[:18]]]}, "images of 9 classes"),
        ({"data": [[X[:, :, :, :7], Y]]}, "1x8x7, but digits has"),
        ({"data": [[X.to(torch.complex64), Y]]}, "complex"),
        ({"data": [[X.to_sparse(), Y]]}, "dense"),
        ({"data": [[X[:1].expand(10**9, 1, 8, 8), Y]]}, "larger than the file"),
        ({"data": [[X[0, 0, 0, 0], Y]]}, "images must be"),
        ({"data": [[X, X]]}, "labels are not whole numbers"),
        ({"data": [X, Y]}, "not [images, labels]"),
        ([X, Y], "has no list 'data'"),
        (X, "has no list 'data'"),
        ({"images": X, "labels": Y}, "has no list 'data'"),
        ({"data": [[X, Y]], "x": Evil()}, "not safe to read"),
    ],
)
def test_other_sets_are_refused_in_one_line(tmp_path, content, message, capsys):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CondenseryError) as caught:
        exchange.from_reference_pt(tmp_path / "a.pt", DIGITS)
    assert str(caught.value).startswith(f"{tmp_path / 'a.pt'}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_images_from_0_to_1_are_read_with_their_normalization(tmp_path):
    pixels = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save({"data": [[pixels, Y]]}, tmp_path / "a.pt")
    back = exchange.from_reference_pt(tmp_path / "a.pt", DIGITS, normalization=([0.0], [1.0]))
    assert torch.allclose(back.images, (pixels - 0.3052) / 0.376, atol=1e-6)


@pytest.mark.parametrize("layout", [lambda x: {"data": [[x, Y]]}, lambda x: [x, Y]], ids=["DM", "IDC"])
@pytest.mark.parametrize(
    ("scale", "shift"), [(1.2, -0.1), (2.0, -1.0)], ids=["learned from 0 to 1", "from -1 to 1"]
)
def test_pixels_in_the_space_of_other_code_are_not_taken_as_normalized(tmp_path, layout, scale, shift):
    black_to_white = torch.linspace(0, 1, 20 * 64).view(20, 1, 8, 8)
    torch.save(layout(black_to_white * scale + shift), tmp_path / "a.pt")
    with pytest.raises(CondenseryError, match="may be of any space; give --space"):
        exchange.read(tmp_path / "a.pt", DIGITS)
    told = exchange.read(tmp_path / "a.pt", DIGITS, normalization=([-shift / scale], [1 / scale]))
    assert torch.allclose(told.images, (black_to_white - 0.3052) / 0.376, atol=1e-5)


def test_pixels_of_data_that_are_normalized_to_small_values_are_normalized(tmp_path):
    torch.save({"data": [[torch.linspace(-1, 1, 20 * 64).view(20, 1, 8, 8), Y]]}, tmp_path / "a.pt")
    info = dataclasses.replace(DIGITS, mean=(0.5,), std=(0.5,))
    assert exchange.read(tmp_path / "a.pt", info).images.amin() == -1


def test_pixels_computed_back_to_0_to_1_are_from_0_to_1(tmp_path):
    pixels = torch.linspace(-3e-8, 1, 20 * 64).view(20, 1, 8, 8)
    torch.save({"data": [[pixels, Y]]}, tmp_path / "a.pt")
    found = exchange.read(tmp_path / "a.pt", DIGITS)
    assert torch.allclose(found.images, (pixels - 0.3052) / 0.376, atol=1e-5)


def test_an_index_with_the_name_of_another_class_is_refused(tmp_path, caplog):
    def read(folders, classes):
        for index, name in enumerate(folders):
            folder = tmp_path / folders / f"{index}_{name}"
            folder.mkdir(parents=True, exist_ok=True)
            gray(9).save(folder / "0.png")
        return exchange.read(tmp_path / folders, dataclasses.replace(DIGITS, classes=tuple(classes)))

    with pytest.raises(CondenseryError, match="'0_b' has the name of class 1 of digits"):
        read("bacdefghij", "abcdefghij")
    assert read("abcdefghij", "ABCDEFGHIJ").labels.tolist() == list(range(10))
    assert read("axxxxxxxxx", "abcdefghij").labels.tolist() == list(range(10))
    assert caplog.text == ""
    assert read("abcdefghij", "klmnopqrst").labels.tolist() == list(range(10))
    assert "0_a is not named as a class of digits" in caplog.text


def test_a_folder_of_anybodys_images_of_any_ending(tmp_path, caplog):
    for c in range(10):
        folder = tmp_path / "set" / str(c)
        folder.mkdir(parents=True)
        gray(10 + 20 * c).save(folder / "0.png")
        gray(20 + 20 * c).save(folder / "1.PNG", format="png")
        gray(9).save(folder / "2.jfif", format="jpeg")
    back = exchange.from_png_folders(tmp_path / "set", DIGITS)
    assert back.labels.tolist() == Y.tolist()
    assert back.uint8_images().amax((1, 2, 3)).tolist() == [10 + 10 * k for k in range(20)]
    assert "10 .jfif" in caplog.text


@pytest.mark.parametrize(
    "index",
    [
        *("[" * 100_000, "[1]", "{", "\udcff", '{"files": [1]}', '{"files": ["0/../../x"]}'),
        *('{"provenance": 3}', '{"soft_labels": [[[1]]]}', '{"learning_rate": ["x"]}'),
        '{"files": ["' + "9" * 5_000 + '/a.png"]}',
    ],
)
def test_a_strange_index_of_a_folder_is_one_line(tmp_path, index):
    (tmp_path / "0").mkdir()
    gray(9).save(tmp_path / "0/0.png")
    (tmp_path / "set.json").write_bytes(index.encode("utf-8", "surrogateescape"))
    with pytest.raises(CondenseryError, match=str(tmp_path)) as caught:
        exchange.from_png_folders(tmp_path, DIGITS)
    assert "\n" not in str(caught.value)


def test_the_folder_above_prepared_data_is_named_as_such(own):
    for name in ("roses", "tulips"):
        prepare(name, entry(), own.parent, own.parent / "prepared" / name)
    with pytest.raises(
        CondenseryError, match=r"holds the prepared data sets roses, tulips; give the folder of"
    ):
        load(own.parent / "prepared")
    with pytest.raises(CondenseryError, match=r"lilies: no prepared.*prepare it with .* --data lilies"):
        load(own.parent / "prepared/lilies")
    with pytest.raises(CondenseryError, match=r"--data NAME --out .*elsewhere"):
        load(own.parent / "elsewhere")


def test_a_pickle_whose_lists_stand_for_more_than_memory_is_refused():
    nested = [0, 1]
    for _ in range(60):
        nested = [nested, nested]
    with pytest.raises(ValueError, match="not one number"):
        contents.whole_numbers(pickle.loads(pickle.dumps(nested)))


# ---- files in this package's formats, written by other programs

ABOUT = {
    "schema": "synthetic-set/1",
    "classes": ["a"],
    "mean": [0.5],
    "std": [0.5],
    "learning_rate": None,
    "provenance": {"experiment": {"dataset": "d", "network": "n", "networks": 1}},
    "states": [{"network": 0, "step": 1, "accuracy": 50.0}],
    "identity": {},
    "step": 1,
}


@pytest.mark.parametrize("key", [None, *ABOUT])
def test_a_description_of_other_types_is_one_line(tmp_path, key):
    path = tmp_path / "a.safetensors"
    texts = ["[" * 100_000] if key is None else []
    values = [None, 3, "x", [], {}, [1], {"a": 1}, float("nan"), "9" * 5_000]
    texts += [json.dumps(value if key is None else {**ABOUT, key: value}) for value in values]
    readers = [
        lambda: SyntheticSet.load(path),
        lambda: Checkpoint(path, {}).load(),
        lambda: provenance_of(path),
        lambda: Pool.open([path], "d", "n"),
        lambda: read_pretrained(path, "d", "n"),
        lambda: describe(path),
    ]
    for text in texts:
        tensors = {"images": torch.zeros(2, 1, 8, 8), "labels": torch.zeros(2, dtype=torch.int64)}
        path.write_bytes(save_tensors(tensors, metadata={"condensery": text}))
        for read in readers:
            with contextlib.suppress(CondenseryError):
                read()
