"""Published layouts of sets: known tensors, written by hand, are read back unchanged."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from condensery import exchange
from condensery.data import DataInfo, load, normalize, prepare
from condensery.errors import CondenseryError
from condensery.scoring.opening import in_space
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import evaluate
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from tests.problems import CPU
from tests.scripts import run

MEAN, STD = (0.49, 0.48, 0.45), (0.2, 0.25, 0.3)
CLASSES = ("cat", "dog", "Sea Lion", "truck")
INFO = DataInfo("four", 3, 8, 6, CLASSES, MEAN, STD)
Y = torch.arange(4).repeat_interleave(2)
BYTES = torch.randint(0, 256, (8, 3, 8, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
UNIT = BYTES.float() / 255
X = normalize(BYTES, MEAN, STD)
SOFT = torch.softmax(torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), 1)
HOT = torch.nn.functional.one_hot(Y, 4).float()
LAST = (0, 2, 3, 1)


def torch_file(content: object, name: str = "a.pt") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.save(content, folder / name)
        return folder / name

    return write


def with_beside(images: object, labels: object, name: str = "images_best.pt", **more: object) -> Callable:
    def write(folder: Path) -> Path:
        torch.save(images, folder / name)
        torch.save(labels, folder / name.replace("images", "labels"))
        for other, content in more.items():
            torch.save(content, folder / f"{other}.pt")
        return folder / name

    return write


def numpy_file(**arrays: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "a.npz", **arrays)
        return folder / "a.npz"

    return write


def npy_pair(folder: Path) -> Path:
    np.save(folder / "images.npy", BYTES.numpy())
    np.save(folder / "labels.npy", Y.numpy())
    return folder / "images.npy"


def png(image: torch.Tensor) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(stream, "png")
    return stream.getvalue()


def class_folders(names: tuple[str, ...]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        for number, (image, label) in enumerate(zip(BYTES, Y.tolist(), strict=True)):
            (folder / "set" / names[label]).mkdir(parents=True, exist_ok=True)
            (folder / "set" / names[label] / f"{number:03d}.png").write_bytes(png(image))
        return folder / "set"

    return write


def parquet(columns: dict[str, object], features: dict[str, object] | None = None) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        table = pa.table(columns)
        if features:
            text = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": text})
        pq.write_table(table, folder / "a.parquet")
        return folder / "a.parquet"

    return write


ENCODED = [{"bytes": png(image), "path": None} for image in BYTES]
BACKWARDS = {"label": {"names": list(CLASSES[::-1]), "_type": "ClassLabel"}}

LAYOUTS = {
    "dc": (torch_file({"data": [[X, Y]], "accs_all_exps": {"ConvNet": [np.float64(0.5)]}}), {}),
    "dc, channels last": (torch_file({"data": [[X.permute(LAST), Y]]}), {}),
    "dc, from 0 to 1": (torch_file({"data": [[UNIT, Y]]}), {}),
    "dc, arrays": (torch_file({"data": [[X.numpy(), Y.numpy()]]}), {}),
    "idc": (torch_file([UNIT, Y]), {}),
    "idc, not clamped": (torch_file([UNIT * 1.2 - 0.1, Y]), {"space": "unit"}),
    "idm, a tuple": (torch_file((X, Y.int())), {}),
    "by name, arrays": (torch_file({"images": X.numpy(), "labels": Y.numpy()}), {}),
    "by name, a parameter": (torch_file({"x": torch.nn.Parameter(X), "y": Y, "epoch": 3}), {}),
    "with a rate": (torch_file([X, Y, torch.tensor(0.02)]), {}),
    "a list of classes": (torch_file(list(X.split(2))), {}),
    "classes by number": (torch_file(dict(enumerate(X.split(2)))), {}),
    "pairs": (torch_file([(image, int(c)) for image, c in zip(X, Y, strict=True)]), {}),
    "by names like the usual ones": (torch_file({"syn_images": X, "label_syn": Y, "lr": 0.02}), {}),
    "by capitals": (torch_file({"X": X, "Y": Y}), {}),
    "bytes, channels last, one-hot": (torch_file([BYTES.permute(LAST), HOT.bool()]), {}),
    "bytes": (torch_file([BYTES, Y]), {}),
    "bytes as numbers": (torch_file([BYTES.float(), Y]), {}),
    "a column of labels": (torch_file([X, Y[:, None].float()]), {}),
    "mtt": (with_beside(X, Y), {"space": "normalized"}),
    "mtt, from 0 to 1": (with_beside(UNIT, Y, "images_100.pt"), {}),
    "mtt, whitening undone": (
        lambda folder: with_beside(X, Y, "images_7.pt")(folder).rename(folder / "images_zca_7.pt"),
        {"space": "normalized"},
    ),
    "datm, with a rate": (with_beside(X, SOFT, lr_best=torch.tensor(0.02)), {"space": "normalized"}),
    "datm, logits": (with_beside(X, SOFT.log() + 3), {"space": "normalized", "labels": "logits"}),
    "kip": (
        numpy_file(images=X.permute(LAST).numpy().astype(np.float64), labels=(HOT - 0.25).numpy()),
        {"space": "normalized"},
    ),
    "frepo": (
        numpy_file(image=X.permute(LAST).numpy(), label=(SOFT - 0.25).numpy()),
        {"space": "normalized", "labels": "centered"},
    ),
    "npz, as Keras names them": (
        numpy_file(x_train=BYTES.permute(LAST).numpy(), y_train=Y[:, None].numpy()),
        {},
    ),
    "npy": (npy_pair, {}),
    "folders by name": (class_folders(("Cat", "dog", "sea_lion", "truck")), {}),
    "folders by index": (class_folders(("0", "1", "2", "3")), {}),
    "folders of SRe2L": (class_folders(("new000", "new001", "new002", "new003")), {}),
    "folders of RDED": (class_folders(("00000", "00001", "00002", "00003")), {}),
    "parquet": (parquet({"image": ENCODED, "label": Y.tolist()}), {}),
    "parquet, other order": (
        parquet({"img": ENCODED, "label": (3 - Y).tolist()}, BACKWARDS),
        {},
    ),
    "parquet, names and bytes": (
        parquet({"image": [e["bytes"] for e in ENCODED], "label": [CLASSES[c] for c in Y.tolist()]}),
        {},
    ),
    "parquet, two kinds of labels": (
        parquet({"img": ENCODED, "fine_label": Y.tolist(), "coarse_label": [0, 1] * 4}),
        {},
    ),
    "parquet, arrays": (parquet({"image": BYTES.tolist(), "label": Y.tolist()}), {}),
}
HOT_LABELS = ("kip", "bytes, channels last, one-hot")
RATES = ("datm, with a rate", "with a rate", "by names like the usual ones")
WANTED = {
    "idc, not clamped": normalize(BYTES, MEAN, STD) * 1.2
    + ((torch.tensor(MEAN) * 0.2 - 0.1) / torch.tensor(STD)).reshape(1, 3, 1, 1)
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_set_of_each_layout_is_read_back(tmp_path: Path, name: str) -> None:
    write, options = LAYOUTS[name]
    back = exchange.read(write(tmp_path), INFO, **options)
    assert torch.allclose(back.images, WANTED.get(name, X), atol=1e-5)
    wanted = SOFT if name.startswith(("datm", "frepo")) else HOT if name in HOT_LABELS else Y
    assert torch.allclose(back.labels.float(), wanted.float(), atol=1e-6)
    assert back.learning_rate == (pytest.approx(0.02) if name in RATES else None)
    assert back.formation == 1
    # The values are exact: networks learn the same from the file as from the tensors.
    written = ((X, "normalized"), (UNIT, "unit"), (UNIT * 1.2 - 0.1, "unit"), (BYTES, "uint8"))
    given = [in_space(pixels, back.labels, INFO, space).images for pixels, space in written]
    assert any(torch.equal(images, back.images) for images in given)
    back.save(tmp_path / "back.safetensors")
    assert exchange.read(tmp_path / "back.safetensors", INFO).digest() == back.digest()


def test_what_this_package_writes_is_read_back(tmp_path: Path) -> None:
    synthetic = SyntheticSet(X, SOFT, CLASSES, MEAN, STD, {"experiment": {"method": "dm"}}, formation=2)
    exchange.to_npz(synthetic, tmp_path / "a.npz")
    assert exchange.read(tmp_path / "a.npz", INFO).digest() == synthetic.digest()
    exchange.to_parquet(synthetic, tmp_path / "a.parquet")
    back = exchange.read(tmp_path / "a.parquet", INFO)
    assert torch.allclose(back.images, X, atol=1e-5)
    assert torch.equal(back.labels, SOFT)
    assert back.formation == 2
    assert back.provenance["experiment"] == {"method": "dm"}


def test_the_parts_of_a_set_are_joined_where_that_is_asked_for(tmp_path: Path) -> None:
    for number, rows in ((10, slice(6, 8)), (2, slice(3, 6)), (0, slice(0, 3))):
        with_beside(X[rows], Y[rows], f"images_{number}.pt", **{f"lr_{number}": torch.tensor(0.02)})(tmp_path)
    with pytest.raises(CondenseryError) as caught:
        exchange.read(tmp_path, INFO, space="normalized")
    assert str(caught.value) == (
        f"{tmp_path}: holds images_0.pt, images_2.pt, images_10.pt; give one of them, or --format parts if "
        "each is a part of one set"
    )
    found = exchange.read(tmp_path, INFO, format="parts", space="normalized")
    assert torch.equal(found.images, X)
    assert torch.equal(found.labels, Y)
    assert found.learning_rate == pytest.approx(0.02)
    assert len(found.provenance["imported"]["beside"]) == 9
    torch.save(torch.tensor(0.5), tmp_path / "lr_2.pt")
    with pytest.raises(
        CondenseryError, match=r"were learned with different rates, 0\.\S+, 0\.\S+; give one part"
    ):
        exchange.read(tmp_path, INFO, format="parts", space="normalized")
    torch.save(X[:, :, :4], tmp_path / "images_2.pt")
    (tmp_path / "lr_2.pt").unlink()
    (tmp_path / "lr_0.pt").unlink()
    (tmp_path / "lr_10.pt").unlink()
    with pytest.raises(CondenseryError, match="its parts have images of"):
        exchange.read(tmp_path, INFO, format="parts", space="normalized")
    with pytest.raises(
        CondenseryError, match=r"holds no images\*\.pt or images\*\.pth or images\*\.npy; give"
    ):
        exchange.read(tmp_path / "none", INFO, format="parts")


def test_whole_pixels_are_bytes_unless_each_is_0_or_1(tmp_path: Path) -> None:
    dark = torch.arange(8 * 144).view(8, 3, 8, 6) % 3
    found = exchange.read(torch_file([dark.float(), Y])(tmp_path), INFO)
    assert torch.equal(found.uint8_images(), dark.to(torch.uint8))
    with pytest.raises(CondenseryError, match="pixels from 0 to 1 may be of any space"):
        exchange.read(torch_file([dark.clamp(max=1).float(), Y])(tmp_path), INFO)


def test_a_formation_that_no_file_says_can_be_given(tmp_path: Path) -> None:
    path = torch_file([UNIT, Y])(tmp_path)
    assert len(exchange.read(path, INFO, formation=2).decoded()) == 32
    folder = class_folders(("0", "1", "2", "3"))(tmp_path)
    assert exchange.read(folder, INFO, formation=2).formation == 2


def whitening() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(144, 144, generator=generator, dtype=torch.float64)
    return torch.rand(144, generator=generator, dtype=torch.float64), root @ root.T / 144 + torch.eye(144)


@pytest.mark.parametrize("names", [("mean", "matrix"), ("mean_vector", "transform_matrix")])
def test_whitening_is_undone(tmp_path: Path, names: tuple[str, str]) -> None:
    mean, matrix = whitening()
    white = ((UNIT.reshape(8, -1).double() - mean) @ matrix).float().reshape(X.shape)
    path = with_beside(white, Y)(tmp_path)
    torch.save(dict(zip(names, (mean[None], matrix), strict=True)), tmp_path / "zca.pt")
    back = exchange.read(path, INFO, space="unit", zca=tmp_path / "zca.pt")
    assert torch.allclose(back.images, X, atol=1e-3)
    assert len(back.provenance["imported"]["whitening"]) == 64


def test_whitening_is_undone_in_the_order_of_the_file(tmp_path: Path) -> None:
    mean, matrix = (value.numpy() for value in whitening())
    flat = X.permute(LAST).reshape(8, -1).double().numpy()
    white = ((flat - mean) @ matrix).reshape(8, 8, 6, 3)
    path = numpy_file(image=white, label=(HOT - 0.25).numpy())(tmp_path)
    np.savez(tmp_path / "zca.npz", mean=mean, matrix=matrix)
    back = exchange.read(path, INFO, space="normalized", zca=tmp_path / "zca.npz")
    assert torch.allclose(back.images, X, atol=1e-3)


NEAR = UNIT * 1.1 - 0.05


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (with_beside(X, Y), {}, "--space normalized, or the matrix with --zca"),
        (torch_file([NEAR, Y]), {}, "may be of any space; give --space uint8, unit or normalized"),
        (torch_file([X, SOFT.log()]), {}, "give --labels logits, centered"),
        (torch_file(X), {}, "holds images alone; name it images.pt"),
        (torch_file(X, "images.pt"), {}, "labels.pt is not beside it"),
        (with_beside(X, {"a": 1}), {}, "holds no tensor of labels"),
        (with_beside(X, Y, lr_best=-1.0), {}, "lr_best.pt: holds no learning rate above 0"),
        (torch_file({"images": X, "image": X, "labels": Y}), {}, "not one tensor called images or image"),
        (torch_file([X, Y, Y]), {}, "neither [images, labels] nor"),
        (torch_file(list(X.split(4))), {}, "images of 2 classes, but four has 4"),
        (torch_file([(X[0], "cat")]), {}, "nor those of each class; save it as one of these"),
        (torch_file({"state": {"images": X, "labels": Y}}), {}, "holds state, but not one tensor called"),
        (class_folders(("0", "2", "5", "7")), {}, "labels run from 0 to 7, but there are 4 classes"),
        (torch_file([X, Y]), {"experiment": 1}, "holds one set"),
        (torch_file([X, Y]), {"space": "log"}, "space 'log' is unknown"),
        (torch_file([X, Y]), {"labels": "logits"}, "has no label per class"),
        (torch_file([X, Y]), {"format": "mat"}, "format 'mat' is unknown"),
        (torch_file([X, Y], "a.mat"), {}, "of unknown format; add --format safetensors, pt"),
        (torch_file([X, Y]), {"zca": Path("zca.pt")}, "give --space unit or normalized too"),
        (torch_file([X[:, :, :, :5], Y]), {}, "3x8x5, but four has"),
        (torch_file([X.flatten(1), Y]), {}, "images must be (N, C, H, W)"),
        (torch_file([X * torch.nan, Y]), {}, "not finite"),
        (numpy_file(images=np.array([["a"]]), labels=Y.numpy()), {}, "not of numbers"),
        (class_folders(("1", "2", "3", "4")), {}, "count the classes from 1"),
        (class_folders(("a", "b", "c", "d")), {}, "'a' is not <class index>_<name>"),
        (class_folders(("cat", "dog", "2", "truck")), {}, "is not <class index>"),
        (class_folders(("0", "1", "2", "3")), {"space": "unit"}, "omit --space"),
        (parquet({"image": ENCODED}), {}, "none of soft_label, label"),
        (parquet({"picture": ENCODED, "label": Y.tolist()}), {}, "none of image, img"),
        (parquet({"image": [{"bytes": None, "path": "a.png"}] * 8, "label": Y.tolist()}), {}, "embed them"),
        (parquet({"image": ENCODED, "label": ["lion"] * 8}), {}, "not all names are of classes of four"),
    ],
)
def test_what_cannot_be_told_is_asked_for_in_one_line(
    tmp_path: Path, write: Callable[[Path], Path], options: dict, message: str
) -> None:
    path = write(tmp_path)
    with pytest.raises(CondenseryError) as caught:
        exchange.read(path, INFO, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_are_numbers_in_another_order_are_refused(tmp_path: Path) -> None:
    info = DataInfo("numbers", 3, 8, 6, ("1", "0", "3", "2"), MEAN, STD)
    with pytest.raises(CondenseryError, match="'0' may be class 0 or the class of this name, 1"):
        exchange.read(class_folders(("0", "1", "2", "3"))(tmp_path), info)


@pytest.mark.parametrize(
    ("mean", "matrix", "message"),
    [
        (torch.zeros(3), torch.eye(3), "images of 144 values, but zca.pt whitens 3"),
        (torch.zeros(144), torch.zeros(144, 144), "has no inverse"),
        (torch.zeros(144), torch.eye(3), "a mean of 144 and a matrix of"),
        (torch.zeros(144), None, "cannot be read"),
        (torch.zeros(144), torch.zeros(1).expand(144, 144), "larger than the file"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(
    tmp_path: Path, mean: torch.Tensor, matrix: torch.Tensor | None, message: str
) -> None:
    path = with_beside(X, Y)(tmp_path)
    torch.save({"mean": mean, **({} if matrix is None else {"matrix": matrix})}, tmp_path / "zca.pt")
    with pytest.raises(CondenseryError, match=message):
        exchange.read(path, INFO, space="unit", zca=tmp_path / "zca.pt")


def test_a_set_gives_the_accuracy_of_the_tensors_that_were_written(tmp_path: Path) -> None:
    prepare("digits", {"channels": 1, "size": [8, 8], "classes": 10, "mean": [0.3], "std": [0.35],
                       "sources": [{"kind": "digits"}]}, tmp_path, tmp_path / "digits")  # fmt: skip
    data = load(tmp_path / "digits")
    rows = np.concatenate([data.train.indices_of(c)[:2] for c in range(10)])
    images, labels = data.train.batch(rows, torch.device("cpu")), torch.arange(10).repeat_interleave(2)
    synthetic = SyntheticSet(images, labels, data.info.classes, data.info.mean, data.info.std)
    np.savez(
        tmp_path / "a.npz", image=images.permute(LAST).numpy(), label=(torch.eye(10)[labels] - 0.1).numpy()
    )
    back = exchange.read(tmp_path / "a.npz", data.info, space="normalized", labels="classes")
    recipe = Recipe("r", epochs=3, lr=0.05, momentum=0.9, weight_decay=0.0, batch=8, augmentation="none")
    first, second = (
        evaluate("mlp", Samples.of_set(each, CPU), data.test, recipe, [0], CPU)[0].accuracy
        for each in (synthetic, back)
    )
    assert first == second


def test_the_command_reads_them_with_the_options_that_it_asks_for(tmp_path: Path) -> None:
    info = {"channels": 1, "size": [8, 8], "classes": 10, "mean": [0.3], "std": [0.35]}
    prepare("digits", {**info, "sources": [{"kind": "digits"}]}, tmp_path, tmp_path / "digits")
    torch.save(torch.randn(10, 1, 8, 8), tmp_path / "images_best.pt")
    torch.save(torch.arange(10), tmp_path / "labels_best.pt")
    command = [tmp_path / "images_best.pt", "--data", "digits", "--prepared", tmp_path / "digits"]
    asked = run("import_set", *command, "--out", tmp_path / "a.safetensors")
    assert asked.returncode == 1
    assert "--space normalized" in asked.stderr
    imported = run("import_set", *command, "--space", "normalized", "--out", tmp_path / "a.safetensors")
    assert imported.returncode == 0, imported.stderr
    assert SyntheticSet.load(tmp_path / "a.safetensors").provenance["imported"]["space"] == "normalized"
