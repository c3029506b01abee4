"""The synthetic set: its file, its two spaces, its checks, and gathering parts."""

from __future__ import annotations

import dataclasses
import itertools
import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.files import write_tensors
from condensery.gathering import gather
from condensery.synthetic import SyntheticSet

CLASSES = ("cat", "dog", "frog", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
INFO = DataInfo("cifar5", 3, 8, 6, CLASSES, MEAN, STD)
PROVENANCE = {"experiment": {"seed": 0, "method": "dm", "lr": 0.1}, "versions": {"torch": "2.15"}}


def make(labels: list[int] | None = None, /, **changes: object) -> SyntheticSet:
    """Return a set whose images depend on the labels alone, so that shards have the images of the whole."""
    labels = labels if labels is not None else [c for c in range(5) for _ in range(2)]
    count = {}
    images = []
    for label in labels:
        count[label] = count.get(label, 0) + 1
        generator = torch.Generator().manual_seed(100 * label + count[label])
        images.append(torch.randn(3, 8, 6, generator=generator) * 2)
    fields = {
        "images": torch.stack(images),
        "labels": torch.tensor(labels),
        "classes": CLASSES,
        "mean": MEAN,
        "std": STD,
        "provenance": PROVENANCE,
    }
    return SyntheticSet(**(fields | changes))


def one_line(raised: pytest.ExceptionInfo) -> str:
    message = str(raised.value)
    assert "\n" not in message
    return message


SOFT = torch.softmax(torch.randn(10, 5, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.mark.parametrize("rate", [None, 0.02, torch.tensor(0.02), torch.linspace(0.01, 0.1, 7)])
@pytest.mark.parametrize("soft", [False, True])
def test_a_set_comes_back_as_it_was_saved(tmp_path: Path, soft: bool, rate: float | torch.Tensor) -> None:
    path = tmp_path / "results" / "seed0.safetensors"
    saved = make(learning_rate=rate, **({"labels": SOFT} if soft else {}))
    saved.save(path)
    loaded = SyntheticSet.load(path)
    assert torch.equal(loaded.images, saved.images)
    assert torch.equal(loaded.labels, saved.labels)
    assert loaded.labels.dtype == saved.labels.dtype
    for name in ("classes", "mean", "std", "provenance"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert type(loaded.learning_rate) is type(rate)
    if torch.is_tensor(rate):
        assert torch.equal(loaded.learning_rate, rate)
    else:
        assert loaded.learning_rate == rate
    assert loaded.source == str(path)
    assert len(loaded) == 10


def test_the_file_is_plain_safetensors_with_its_description_in_the_header(tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    make().save(path)
    assert torch.equal(load_file(path)["images"], make().images)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    description = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["condensery"])
    assert description["provenance"] == PROVENANCE
    assert description["classes"] == list(CLASSES)
    assert (description["mean"], description["std"]) == (list(MEAN), list(STD))


def test_equal_sets_give_equal_bytes(tmp_path: Path) -> None:
    reordered = {key: dict(reversed(value.items())) for key, value in reversed(PROVENANCE.items())}
    first = make(learning_rate=torch.tensor([0.1]))
    second = make(learning_rate=torch.tensor([0.1]), provenance=reordered)
    second.images = second.images.to(memory_format=torch.channels_last)
    first.save(tmp_path / "a")
    second.save(tmp_path / "b")
    SyntheticSet.load(tmp_path / "a").save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_the_two_spaces() -> None:
    synthetic = make()
    normalized, unit = synthetic.as_dataset("normalized"), synthetic.as_dataset("unit")
    assert len(normalized) == len(unit) == 10
    clamped = 0
    for index in range(10):
        image, label = normalized[index]
        shown, same_label = unit[index]
        assert torch.equal(image, synthetic.images[index])
        assert label == same_label == synthetic.labels[index]
        for channel in range(3):
            wanted = image[channel].double() * STD[channel] + MEAN[channel]
            clamped += int((wanted < 0).sum() + (wanted > 1).sum())
            torch.testing.assert_close(shown[channel].double(), wanted.clip(0, 1), atol=1e-6, rtol=0)
    assert clamped > 0, "no pixel needed the clamp"
    with pytest.raises(CondenseryError, match="'unit'"):
        synthetic.as_dataset("raw")


def test_pixels_are_rounded_not_cut() -> None:
    levels = torch.tensor([-3.0, 0.0, 0.4, 0.6, 100.49, 100.51, 254.6, 300.0])
    synthetic = SyntheticSet(
        (levels / 255).reshape(1, 1, 2, 4), torch.tensor([0]), ("only",), mean=(0.0,), std=(1.0,)
    )
    assert synthetic.uint8_images().dtype == torch.uint8
    assert synthetic.uint8_images().flatten().tolist() == [0, 0, 0, 1, 100, 101, 255, 255]


def test_every_8_bit_image_survives_normalization() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    mean, std = torch.tensor(MEAN).reshape(1, 3, 1, 1), torch.tensor(STD).reshape(1, 3, 1, 1)
    synthetic = SyntheticSet((pixels / 255 - mean) / std, torch.tensor([0]), ("only",), MEAN, STD)
    assert torch.equal(synthetic.uint8_images(), pixels)


def test_class_indices_of_soft_labels() -> None:
    assert make().class_indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    soft = torch.eye(5)[[4, 3, 2, 1, 0, 0, 1, 2, 3, 4]] * 0.6 + 0.08
    assert make(labels=soft).class_indices.tolist() == [4, 3, 2, 1, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": torch.zeros(10, 3, 8, 6, dtype=torch.float64)}, "float64"),
        ({"images": torch.zeros(10, 8, 6)}, "(10, 8, 6)"),
        ({"labels": torch.zeros(9, dtype=torch.int64)}, "(9,) int64"),
        ({"labels": torch.zeros(10)}, "(10,) float32"),
        ({"labels": torch.zeros(10, 4)}, "(10, 4) float32"),
        ({"labels": torch.full((10,), 5)}, "5 classes"),
        ({"labels": torch.full((10,), -1)}, "-1"),
        ({"mean": (0.5,)}, "3 channels"),
    ],
)
def test_parts_that_disagree_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(CondenseryError) as raised:
        make(**changes)
    assert words in one_line(raised)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CondenseryError) as raised:
        SyntheticSet.load(tmp_path / "seed0.safetensors")
    assert str(tmp_path / "seed0.safetensors") in one_line(raised)
    assert "dvc pull" in str(raised.value)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seed0.safetensors"
    make().save(path)
    whole = path.read_bytes()
    damaged = [whole[:size] for size in (0, 7, 100, len(whole) // 2, len(whole) - 1)]
    for content in [*damaged, b"PK\x03\x04" + whole]:
        path.write_bytes(content)
        with pytest.raises(CondenseryError) as raised:
            SyntheticSet.load(path)
        assert one_line(raised).startswith(f"{path}: not a whole safetensors file")
    save_file({"images": torch.zeros(1)}, path)
    with pytest.raises(CondenseryError, match="not one that condensery wrote"):
        SyntheticSet.load(path)
    write_tensors(path, {}, {"schema": "checkpoint/1"})
    with pytest.raises(CondenseryError, match="'checkpoint/1'"):
        SyntheticSet.load(path)
    write_tensors(path, {"images": make().images}, {"schema": "synthetic-set/1"})
    with pytest.raises(CondenseryError, match="has no 'labels'"):
        SyntheticSet.load(path)


def test_a_set_that_cannot_be_described_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        make(provenance={"path": tmp_path}).save(tmp_path / "set.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": CLASSES[:4]}, "5 classes of 3x8x6, but cifar5 has 4 classes of 3x8x6"),
        ({"channels": 1, "mean": (0.5,), "std": (0.5,)}, "cifar5 has 5 classes of 1x8x6"),
        ({"height": 32, "width": 32}, "cifar5 has 5 classes of 3x32x32"),
        ({"classes": (*CLASSES[:4], "lorry")}, "class 4 is 'truck', but cifar5 calls it 'lorry'"),
        ({"mean": (0.5071, 0.4866, 0.4409)}, "cifar5 has 0.5071 0.4866 0.4409"),
        ({"std": (0.2023, 0.1994, 0.2020)}, "with std 0.2023 0.1994 0.201,"),
    ],
)
def test_a_set_of_other_data_is_refused(tmp_path: Path, changes: dict, words: str) -> None:
    make().save(tmp_path / "seed0.safetensors")
    loaded = SyntheticSet.load(tmp_path / "seed0.safetensors")
    loaded.check_against(INFO)
    with pytest.raises(CondenseryError) as raised:
        loaded.check_against(dataclasses.replace(INFO, **changes))
    assert one_line(raised).startswith(f"{tmp_path / 'seed0.safetensors'}: ")
    assert words in str(raised.value)


def part(labels: list[int], name: str, /, **changes: object) -> SyntheticSet:
    """Return the shard that a job condenses for some of the classes."""
    changes.setdefault("provenance", PROVENANCE | {"shard": sorted(set(labels))})
    part = make(labels, **changes)
    part.source = name
    return part


@given(order=st.permutations(range(5)), cuts=st.sets(st.integers(1, 4)), ipc=st.integers(1, 3))
def test_parts_in_any_order_give_the_bytes_of_one_job(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cuts: set[int], ipc: int
) -> None:
    folder = tmp_path_factory.mktemp("gather")
    borders = [0, *sorted(cuts), 5]
    parts = [
        part([c for c in sorted(order[a:b]) for _ in range(ipc)], f"{a}")
        for a, b in itertools.pairwise(borders)
    ]
    gather(parts).save(folder / "parts")
    make([c for c in range(5) for _ in range(ipc)]).save(folder / "whole")
    assert (folder / "parts").read_bytes() == (folder / "whole").read_bytes()


def test_gathering_keeps_soft_labels_and_a_common_learning_rate() -> None:
    soft = [torch.eye(5)[[4, 1]] * 0.5 + 0.1, torch.eye(5)[[0, 3, 2]] * 0.5 + 0.1]
    rate = torch.tensor([0.1, 0.2])
    joined = gather(
        [
            part([4, 1], "a", labels=soft[0], learning_rate=rate),
            part([0, 3, 2], "b", labels=soft[1], learning_rate=rate),
        ]
    )
    assert torch.equal(joined.labels, torch.eye(5) * 0.5 + 0.1)
    assert torch.equal(joined.images, make([0, 1, 2, 3, 4]).images)
    assert torch.equal(joined.learning_rate, rate)


OTHER_SEED = {"experiment": {"seed": 1, "method": "dm", "lr": 0.1}, "versions": {"torch": "2.15"}}


@pytest.mark.parametrize(
    ("classes", "listed"),
    [(12, "2, 3, 4, 5, 6, 7, 8, 9, 10, 11; give"), (13, "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...; give")],
)
def test_ten_missing_classes_are_all_named_and_of_more_the_first_ten(classes: int, listed: str) -> None:
    names = tuple(f"class {c}" for c in range(classes))
    with pytest.raises(CondenseryError) as raised:
        gather([part([0, 1], "a", classes=names)])
    assert f"no part holds class {listed}" in str(raised.value)


@pytest.mark.parametrize(
    ("labels", "changes", "words"),
    [
        ([2, 2, 3, 3], {}, ("a", "no part holds class 4")),
        ([1, 2, 3, 4], {}, ("b", "class 1 is also in a")),
        ([2, 3, 4], {"provenance": OTHER_SEED}, ("b", "provenance.experiment.seed is 1, but 0 in a")),
        ([2, 3, 4], {"mean": (0.5, 0.5, 0.5)}, ("b", "mean is [0.5, 0.5, 0.5]")),
        ([2, 3, 4], {"std": (0.5, 0.5, 0.5)}, ("b", "std is [0.5, 0.5, 0.5]")),
        ([2, 3, 4], {"classes": (*CLASSES[:4], "lorry")}, ("b", "classes is")),
        ([2, 3, 4], {"images": torch.zeros(3, 3, 8, 8)}, ("b", "image shape is [3, 8, 8]")),
        ([2, 3, 4], {"labels": torch.eye(5)[2:]}, ("b", "kind of label is 'soft'")),
        ([2, 3, 4], {"learning_rate": 0.1}, ("b", "learning rate is 0.1, but None in a")),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(
    labels: list[int], changes: dict, words: tuple[str, str]
) -> None:
    with pytest.raises(CondenseryError) as raised:
        gather([part([0, 1], "a"), part(labels, "b", **changes)])
    culprit, reason = words
    assert one_line(raised).startswith(f"{culprit}: {reason}")


def test_nothing_to_gather_is_refused() -> None:
    with pytest.raises(CondenseryError):
        gather([])


def test_a_transform_is_applied_to_each_image_as_it_is_taken() -> None:
    synthetic = make()
    taken = []

    def doubled(image: torch.Tensor) -> torch.Tensor:
        taken.append(image)
        return 2 * image

    dataset = synthetic.as_dataset("unit", transform=doubled)
    assert not taken
    image, label = dataset[1]
    assert torch.equal(image, 2 * synthetic.unit_images()[1])
    assert label == synthetic.labels[1]
    assert len(dataset) == len(synthetic)


def test_a_set_prints_as_one_line() -> None:
    assert "\n" not in repr(make())
    assert len(repr(make())) < 110


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    images = make().images.clone()
    images[0, 0, 0, 0] = value
    with pytest.raises(CondenseryError, match="images hold values that are not finite"):
        make(images=images)
    with pytest.raises(CondenseryError, match="learning rates hold values that are not finite"):
        make(learning_rate=value)
