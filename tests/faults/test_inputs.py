"""Image folders and synthetic sets as users have them: read as intended, or refused in one line.

Roses are red and tulips are green in every case: the prepared images must have these colors and names.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from condensery.data import load
from condensery.synthetic import SyntheticSet
from tests.faults import children
from tests.faults.workshop import Workshop, left_in

QUICK = ("alpha", "sixteen bits", "numbers as names", "empty class")
FLOWERS = ("rose", "tulip")


def picture(color: int, size: tuple[int, int] = (32, 32), mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Return a noisy picture in red (0), green (1) or blue (2)."""
    pixels = np.zeros((*size, 3))
    pixels[..., color % 3] = 170
    pixels += np.random.default_rng(seed).normal(20, 12, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert(mode)


def flowers(
    folder: Path,
    classes: Sequence[str] = FLOWERS,
    counts: Sequence[int] = (),
    splits: Sequence[str] = ("train", "test"),
    suffix: str = "png",
    size: tuple[int, int] = (32, 32),
    mode: str = "RGB",
) -> Path:
    """Write a folder of pictures, in which each class has its color; return the folder."""
    for split in splits:
        for color, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            count = counts[color] if counts and split == splits[0] else 4
            for number in range(count):
                picture(color, size, mode, number).save(folder / split / name / f"{number:03d}.{suffix}")
    return folder


@dataclass(frozen=True)
class Case:
    """An image folder, and the expected result of preparing it.

    Attributes:
        make: function that writes the folder.
        refused: words of the expected refusal; empty if the folder is valid.
        classes: the classes in the order of their labels, with their colors.
        images: number of training images of each class; if empty, not compared.
        entry: keys of its entry in datasets.yaml that differ.
    """

    make: Callable[[Path], object]
    refused: tuple[str, ...] = ()
    classes: Mapping[str, int] = field(default_factory=lambda: {"rose": 0, "tulip": 1})
    images: tuple[int, ...] = (4, 4)
    entry: Mapping[str, Any] = field(default_factory=dict)


def _and(*actions: Callable[[Path], object], **options: Any) -> Callable[[Path], None]:
    """Return a function that writes a folder of flowers and applies actions to it."""

    def make(folder: Path) -> None:
        flowers(folder, **options)
        for action in actions:
            action(folder)

    return make


def _add(name: str, data: bytes | Image.Image = b"") -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, bytes):
            path.write_bytes(data)
        else:
            data.save(path)

    return act


def _remove(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return act


def _rename(pattern: str, change: Callable[[Path], Path]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for path in sorted(folder.glob(pattern)):
            path.rename(change(path))

    return act


def _half(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return act


def _deep(dtype: type, suffix: str, high: float) -> Callable[[Path], None]:
    """Return a function that writes dark and light gray pictures of more than eight bits, dark first."""

    def make(folder: Path) -> None:
        for split in ("train", "test"):
            for level, name in ((0.2, "dark"), (0.8, "light")):
                (folder / split / name).mkdir(parents=True)
                for number in range(4):
                    noise = np.random.default_rng(number).uniform(-0.01, 0.01, (32, 32))
                    Image.fromarray(((level + noise) * high).astype(dtype)).save(
                        folder / split / name / f"{number}.{suffix}"
                    )

    return make


def _alpha(folder: Path) -> None:
    """Draw a disc and a square in opaque black on a transparent black ground."""
    y, x = np.mgrid[:32, :32]
    shapes = {"disc": (y - 16) ** 2 + (x - 16) ** 2 < 64, "square": (abs(y - 16) < 8) & (abs(x - 16) < 8)}
    for split in ("train", "test"):
        for name, mask in shapes.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = np.zeros((32, 32, 4), np.uint8)
                pixels[mask, 3] = 255
                Image.fromarray(pixels, "RGBA").save(folder / split / name / f"{number}.png")


def _turned(orientation: int) -> Callable[[Path], None]:
    """Return a function that writes pictures, white above black; half are stored rotated with a tag."""
    stored = {
        3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270,
        2: Image.Transpose.FLIP_LEFT_RIGHT, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    }[orientation]  # fmt: skip

    def make(folder: Path) -> None:
        for split in ("train", "test"):
            for name in FLOWERS:
                (folder / split / name).mkdir(parents=True)
                for number in range(4):
                    pixels = np.zeros((32, 32, 3), np.uint8)
                    pixels[:16] = 255
                    image, tag = Image.fromarray(pixels), Image.Exif()
                    if number % 2:
                        image, tag[0x0112] = image.transpose(stored), orientation
                    image.save(folder / split / name / f"{number}.jpg", exif=tag, quality=95)

    return make


def _black(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        Image.new("RGB", (32, 32)).save(path)


def _link(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


def _move_out(folder: Path) -> None:
    aside = folder.with_name("aside")
    shutil.move(folder / "train/tulip", aside)
    (folder / "train/tulip").symlink_to(aside)


def _normalized(folder: Path) -> None:
    """Write one name in both of its Unicode normal forms."""
    for split, form in (("train", "NFC"), ("test", "NFD")):
        (folder / split / "rose").rename(folder / split / unicodedata.normalize(form, "pâquerette"))


NAMES = tuple(str(number) for number in range(12))
GRAY = {"channels": 1}
CASES: dict[str, Case] = {
    # Files of operating systems and editors
    "finder": Case(
        _and(
            *(
                _add(f"{at}{name}", b"\0\0\0\1")
                for at in ("", "train/", "train/rose/")
                for name in (".DS_Store", "Thumbs.db", "desktop.ini")
            )
        )
    ),
    "apple double": Case(_and(_add("train/rose/._000.png", b"\0\5\26\7"))),
    "macosx": Case(_and(_add("train/__MACOSX/._rose", b"\0\5\26\7"))),
    "notebook beside": Case(_and(_add("train/.ipynb_checkpoints/a.png", picture(2)))),
    "notebook inside": Case(_and(_add("train/rose/.ipynb_checkpoints/000.png", picture(2)))),
    "trash": Case(_and(_add("train/.Trash-1000/a.png", picture(2)))),
    # Pixels
    "sixteen bits": Case(_deep(np.uint16, "png", 65535), classes={"dark": 51, "light": 204}, entry=GRAY),
    "sixteen bits tiff": Case(_deep(np.uint16, "tif", 65535), classes={"dark": 51, "light": 204}, entry=GRAY),
    "float": Case(_deep(np.float32, "tif", 1), refused=("range",), entry=GRAY),
    "thirty-two bits": Case(_deep(np.int32, "tif", 2**31 - 1), refused=("range",), entry=GRAY),
    "alpha": Case(_alpha, classes={"disc": -1, "square": -1}),
    "cmyk": Case(_and(suffix="jpg", mode="CMYK")),
    "palette": Case(_and(suffix="gif", mode="P")),
    "palette png": Case(_and(mode="P")),
    "webp": Case(_and(suffix="webp")),
    "bmp": Case(_and(suffix="bmp")),
    "rgba": Case(_and(mode="RGBA")),
    **{
        f"orientation {number}": Case(_turned(number), classes={"rose": -2, "tulip": -2})
        for number in (2, 3, 4, 6, 8)
    },
    "many sizes": Case(
        _and(
            _add("train/rose/a.png", picture(0, (7, 5))),
            _add("train/rose/b.png", picture(0, (1, 1))),
            _add("train/rose/c.jpg", picture(0, (300, 20))),
        ),
        images=(7, 4),
    ),
    # Endings
    "capitals": Case(_and(_rename("*/*/*.png", lambda path: path.with_suffix(".PNG")))),
    "no ending": Case(_and(_rename("train/rose/*", lambda path: path.with_suffix(""))), refused=("rose",)),
    # Damage
    "half": Case(_and(_half("train/tulip/002.jpg"), suffix="jpg", size=(64, 64)), refused=("002.jpg",)),
    "nothing in it": Case(_and(_add("train/tulip/002.png")), refused=("002.png",)),
    "a page": Case(_and(_add("train/tulip/002.png", b"<html>404</html>")), refused=("002.png",)),
    "link to nothing": Case(_and(_link("train/tulip/x.png", "/nowhere.png")), refused=("x.png",)),
    "link to a class": Case(_and(_move_out)),
    "bomb": Case(_and(_add("train/tulip/big.png", Image.new("1", (16000, 16000)))), refused=("big.png",)),
    # Layout
    "empty class": Case(
        _and(lambda folder: (folder / "train/violet").mkdir()), refused=("violet",), entry={"classes": 3}
    ),
    "no test of a class": Case(_and(_remove("test/tulip"))),
    "no test": Case(_and(_remove("test")), refused=("test",)),
    "test without classes": Case(_and(_remove("test"), _add("test/1.png", picture(0))), refused=("test",)),
    "no split": Case(lambda folder: flowers(folder, splits=(".",)), refused=("train",)),
    "val": Case(_and(splits=("train", "val"))),
    "one more in test": Case(_and(_add("test/violet/1.png", picture(2))), refused=("violet",)),
    "unicode": Case(
        _and(classes=("Rösslein rot", 'a\'b "c" $x', "白い 花")),
        classes={"Rösslein rot": 0, 'a\'b "c" $x': 1, "白い 花": 2},
        images=(),
        entry={"classes": 3},
    ),
    "two spellings": Case(
        _and(_normalized), classes={unicodedata.normalize("NFC", "pâquerette"): 0, "tulip": 1}
    ),
    "numbers as names": Case(
        _and(classes=NAMES),
        classes={name: int(name) % 3 for name in NAMES},
        images=(),
        entry={"classes": list(NAMES)},
    ),
    "names in another order": Case(
        _and(), classes={"tulip": 1, "rose": 0}, entry={"classes": ["tulip", "rose"]}
    ),
    "other names": Case(_and(), refused=("lily",), entry={"classes": ["rose", "lily"]}),
    # Amounts
    "few": Case(_and(counts=(5, 2)), images=(5, 2)),
    "imbalanced": Case(_and(counts=(60, 3)), images=(60, 3)),
    "black": Case(_and(_black), refused=("every pixel",)),
    "wide": Case(_and(size=(32, 48)), entry={"size": [32, 48]}),
}


def _config(workshop: Workshop, folder: Path, entry: Mapping[str, Any]) -> Path:
    config = folder / "config"
    shutil.copytree(workshop.folder / "config", config)
    known = {
        "channels": 3, "size": [32, 32], "classes": 2, "mean": "auto", "std": "auto", "network": "convnet",
        "augmentation": "none", "sources": [{"kind": "image-folder", "path": "mine"}],
    }  # fmt: skip
    with (config / "datasets.yaml").open("a", encoding="utf-8") as stream:
        yaml.safe_dump({"mine": known | dict(entry)}, stream)
    return config


def _cases(names: Mapping[str, object], quick: Sequence[str]) -> list[Any]:
    marks = [pytest.param(name, marks=pytest.mark.faults) for name in names if name not in quick]
    return [*quick, *marks]


@pytest.mark.parametrize("name", _cases(CASES, QUICK))
def test_a_folder_of_images(name: str, workshop: Workshop, tmp_path: Path, count: Counter[str]) -> None:
    case = CASES[name]
    case.make(tmp_path / "raw" / "mine")
    config = _config(workshop, tmp_path, case.entry)
    out = tmp_path / "out"
    words = f"prepare --data mine --config {config} --raw {tmp_path / 'raw'} --out prepared"
    ended = children.run(words.split(), out)
    count["bad inputs: image folders"] += 1
    if case.refused:
        assert ended.refused(*case.refused), ended.text
        assert not left_in(out)
        return
    assert ended.status == 0, ended.text
    data = load(out / "prepared")
    assert list(data.info.classes) == (
        case.entry["classes"] if isinstance(case.entry.get("classes"), list) else sorted(case.classes)
    )
    for split in (data.train, data.test):
        for label, class_name in enumerate(data.info.classes):
            images = np.asarray(split.images)[split.labels == label].astype(float)
            if case.images and split is data.train:
                assert len(images) == case.images[list(sorted(case.classes)).index(class_name)]
            for image in images:
                _check_image(image, class_name, case.classes[class_name])


def _check_image(image: np.ndarray, name: str, expected: int) -> None:
    if len(image) == 1:
        assert image.mean() == pytest.approx(expected, abs=4)  # a gray level
    elif expected == -1:  # black on white
        black = 197 if name == "disc" else 225
        assert (image < 128).sum() == pytest.approx(3 * black, abs=99)
        assert image.mean() > 150
    elif expected == -2:  # white above black
        assert image[:, :12].mean() > 200
        assert image[:, -12:].mean() < 50
    else:
        assert image.mean(axis=(1, 2)).argmax() == expected % 3


DRAW = torch.Generator().manual_seed(0)
IMAGES = torch.randn(20, 1, 8, 8, generator=DRAW)
LABELS = torch.arange(10).repeat_interleave(2)
PIXELS = (torch.rand(20, 1, 8, 8, generator=DRAW) * 255).round()


class Evil:
    """Runs code when an unsafe reader unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("it ran",))


@dataclass(frozen=True)
class Foreign:
    """A file in the layout of the authors' code, and the expected result of importing it.

    Attributes:
        value: the object to save.
        refused: words of the expected refusal; empty if the file is valid.
        images: the expected normalized images.
        pixels: the expected pixels, 0 to 255, instead of ``images``.
    """

    value: Any
    refused: tuple[str, ...] = ()
    images: torch.Tensor = IMAGES
    pixels: torch.Tensor | None = None


def _layout(images: Any, labels: Any = LABELS, **more: Any) -> dict[str, Any]:
    return {"data": [[images, labels]], "accs_all_exps": {"ConvNet": [0.5]}} | more


def _with(position: tuple[int, ...], value: float) -> torch.Tensor:
    changed = IMAGES.clone()
    changed[position] = value
    return changed


ONE = ("error: ",)
SETS: dict[str, Foreign] = {
    "authors": Foreign(_layout(IMAGES)),
    "int32 labels": Foreign(_layout(IMAGES, LABELS.int())),
    "whole float labels": Foreign(_layout(IMAGES, LABELS.float())),
    "labels between classes": Foreign(_layout(IMAGES, LABELS + 0.5), ("label",)),
    "one-hot labels": Foreign(_layout(IMAGES, torch.nn.functional.one_hot(LABELS, 10).float())),
    "labels from 1": Foreign(_layout(IMAGES, LABELS + 1), ("label",)),
    "labels from -1": Foreign(_layout(IMAGES, LABELS - 1), ("label",)),
    "bytes": Foreign(_layout(PIXELS.to(torch.uint8)), pixels=PIXELS),
    "0 to 255": Foreign(_layout(PIXELS), pixels=PIXELS),
    "millions": Foreign(_layout(IMAGES * 1e6), ("normal",)),
    "not a number": Foreign(_layout(_with((3, 0, 0, 0), float("nan"))), ("finite",)),
    "infinite": Foreign(_layout(_with((3, 0, 0, 0), float("inf"))), ("finite",)),
    "channels last": Foreign(_layout(IMAGES.permute(0, 2, 3, 1).contiguous())),
    "color": Foreign(_layout(IMAGES.repeat(1, 3, 1, 1)), ONE),
    "complex": Foreign(_layout(IMAGES.to(torch.complex64)), ONE),
    "half precision": Foreign(_layout(IMAGES.half()), images=IMAGES.half().float()),
    "double precision": Foreign(_layout(IMAGES.double())),
    "parameter": Foreign(_layout(torch.nn.Parameter(IMAGES))),
    "fewer labels": Foreign(_layout(IMAGES, LABELS[:18]), ONE),
    "no images": Foreign(_layout(IMAGES[:0], LABELS[:0]), ONE),
    "sparse": Foreign(_layout(IMAGES.to_sparse()), ONE),
    "meta": Foreign(_layout(IMAGES.to("meta")), ONE),
    "bare tensor": Foreign(IMAGES, ONE),
    "list of two": Foreign([IMAGES, LABELS]),
    "images and labels": Foreign({"images": IMAGES, "labels": LABELS}),
    "flat": Foreign({"data": [IMAGES, LABELS]}, ONE),
    "code": Foreign(_layout(IMAGES, more=Evil()), ONE),
}


@pytest.mark.parametrize("name", _cases(SETS, ("bytes", "not a number")))
def test_a_set_of_others(name: str, workshop: Workshop, tmp_path: Path, count: Counter[str]) -> None:
    foreign = SETS[name]
    torch.save(foreign.value, tmp_path / "s.pt")
    prepared = workshop.folder_of("digits") / "prepared"
    words = f"import_set {tmp_path / 's.pt'} --data digits --prepared {prepared} --out i.safetensors"
    ended = children.run(words.split(), tmp_path / "out")
    count["bad inputs: sets"] += 1
    assert "it ran" not in ended.text
    if foreign.refused:
        assert ended.refused("s.pt", *foreign.refused), ended.text
        assert not left_in(tmp_path / "out")
        return
    assert ended.status == 0, ended.text
    read = SyntheticSet.load(tmp_path / "out" / "i.safetensors")
    if foreign.pixels is None:
        assert torch.equal(read.images, foreign.images)
    else:
        torch.testing.assert_close(
            255 * (read.images * read.std[0] + read.mean[0]), foreign.pixels, atol=1e-3, rtol=0
        )
    assert torch.equal(read.class_indices, LABELS)
