"""Formation: decoding of stored images, and storage of real images."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional

from condensery import exchange, methods
from condensery.continual.memory import remember
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.experiment.checks import check_set
from condensery.files import read_tensors
from condensery.formation import decode, encode
from condensery.gathering import gather
from condensery.reporting import published
from condensery.reporting.cells import COLUMNS, STORAGE, cells
from condensery.reporting.description import describe
from condensery.reporting.tables import read_cells
from condensery.rows import kind_of, read_rows, write_rows
from condensery.streams import generator
from condensery.synthetic import SyntheticSet
from condensery.training.samples import Samples
from tests.problems import CPU, features_file, problem, real_data
from tests.scripts import ROOT, run
from tests.test_reporting import row
from tests.test_synthetic import INFO, make


def images(count: int, size: int = 8, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(count))


def test_parts_come_row_by_row_each_as_bilinear_interpolation_enlarges_it() -> None:
    stored = images(3)
    decoded = decode(stored, 2)
    quarters = [stored[:, :, :4, :4], stored[:, :, :4, 4:], stored[:, :, 4:, :4], stored[:, :, 4:, 4:]]
    for part, quarter in enumerate(quarters):
        expected = functional.interpolate(quarter, (8, 8), mode="bilinear", align_corners=False)
        assert torch.equal(decoded[3 * part : 3 * part + 3], expected)
    by_hand = torch.full((1, 1, 4, 4), 9.0)
    by_hand[0, 0, :2, :2] = torch.tensor([[0.0, 1.0], [4.0, 5.0]])
    assert decode(by_hand, 2)[0, 0].tolist() == [
        [0, 0.25, 0.75, 1],
        [1, 1.25, 1.75, 2],
        [3, 3.25, 3.75, 4],
        [4, 4.25, 4.75, 5],
    ]


def test_a_factor_of_one_is_the_identity_and_any_factor_keeps_a_constant() -> None:
    stored = images(2)
    assert decode(stored, 1) is stored
    assert torch.equal(decode(torch.full((1, 3, 9, 6), 0.3), 3), torch.full((9, 3, 9, 6), 0.3))


def test_every_stored_pixel_gets_the_gradient_of_its_own_part_alone() -> None:
    stored = images(2).requires_grad_()
    decoded = decode(stored, 2)
    (all_of_them,) = torch.autograd.grad(decoded.sum(), stored, retain_graph=True)
    assert torch.allclose(all_of_them, torch.full_like(stored, 4.0))
    (first,) = torch.autograd.grad(decoded[0].sum(), stored)
    assert (first[0, :, :4, :4] != 0).all()
    assert first.count_nonzero() == 3 * 4 * 4


def test_sides_that_the_factor_does_not_divide_are_filled_up_with_gray() -> None:
    stored = torch.zeros(1, 1, 28, 28)
    decoded = decode(stored, 3)
    assert decoded.shape == (9, 1, 28, 28)
    assert not decoded[0].any()  # the first part has no added pixel
    whole = torch.full((1, 1, 30, 30), 0.5)
    whole[..., :28, :28] = 0
    last = functional.interpolate(whole[..., 20:, 20:], (28, 28), mode="bilinear", align_corners=False)
    assert torch.equal(decoded[8:], last)


def test_real_images_are_stored_at_half_size_in_the_order_in_which_they_are_decoded() -> None:
    real = images(8)
    stored = encode(real, 2)
    assert stored.shape == (2, 3, 8, 8)
    half = real.reshape(8, 3, 4, 2, 4, 2).mean((3, 5))
    assert torch.allclose(stored[0, :, :4, :4], half[0])
    assert torch.allclose(stored[1, :, :4, 4:], half[3])
    assert torch.allclose(stored[0, :, 4:, 4:], half[6])
    smooth = torch.linspace(0, 1, 8).reshape(8, 1, 1, 1).expand(8, 3, 8, 8)
    assert torch.allclose(decode(encode(smooth, 2), 2), smooth)
    with pytest.raises(CondenseryError, match="formation 3: 8 images of 8x8"):
        encode(real, 3)


def test_a_set_of_parts_keeps_its_formation_and_trains_on_what_it_decodes_to(tmp_path: Path) -> None:
    whole, parts = make(), make(formation=2)
    assert parts.digest() != whole.digest()
    parts.save(tmp_path / "set.safetensors")
    loaded = SyntheticSet.load(tmp_path / "set.safetensors")
    assert loaded.formation == 2
    assert loaded.digest() == parts.digest()
    samples = Samples.of_set(loaded, CPU)
    assert len(samples) == 4 * len(whole)
    assert torch.equal(samples.batch(torch.arange(40)), decode(whole.images, 2))
    assert torch.equal(samples.labels, whole.labels.repeat(4))
    assert len(loaded.as_dataset("unit")) == 40  # type: ignore[arg-type]
    assert loaded.storage() == {"images_stored": 10, "pixel_bytes": 10 * 3 * 8 * 6, "label_bytes": 0}


def test_the_gray_that_fills_up_is_gray_in_the_normalized_space_of_the_set() -> None:
    black = torch.full((5, 3, 8, 6), 0.0)
    unit = make([0, 1, 2, 3, 4], images=black, formation=3)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (unit.mean, unit.std))
    expected = decode(black * std + mean, 3)
    assert torch.allclose(unit.decoded().images * std + mean, expected, atol=1e-6)


def test_code_that_does_not_know_of_formation_refuses_the_file(tmp_path: Path) -> None:
    for formation, schema in ((1, "synthetic-set/1"), (2, "synthetic-set/2")):
        make(formation=formation).save(tmp_path / "set.safetensors")
        about = read_tensors(tmp_path / "set.safetensors")[1]
        assert about["schema"] == schema
        assert ("formation" in about) == (formation > 1)


@pytest.mark.parametrize("wrong", [0, -1, 7, 100, 2.0, "2", True])
def test_a_formation_that_no_image_can_have_is_refused(wrong: object) -> None:
    with pytest.raises(CondenseryError, match="formation"):
        make(formation=wrong)


def test_parts_of_sets_with_other_formations_are_not_gathered() -> None:
    one = make([0, 0], provenance={"shard": [0]}, formation=2)
    other = make([1, 1, 2, 2, 3, 3, 4, 4], provenance={"shard": [1, 2, 3, 4]})
    with pytest.raises(CondenseryError, match="formation is 1, but 2"):
        gather([one, other])
    other.formation = 2
    assert gather([one, other]).formation == 2


FOUR = {"formation": 2}


def test_random_with_a_formation_stores_four_real_images_in_one() -> None:
    job = problem(ipc=3, parameters=FOUR)
    synthetic = methods.get("random").condense(job)
    assert synthetic.formation == 2
    assert synthetic.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    for c in job.classes:
        chosen = job.random_batch(c, 12, generator(job.seed, "initial-images", c))
        real = job.data.train.batch(chosen, torch.device("cpu"))
        assert torch.allclose(synthetic.images[synthetic.labels == c], encode(real, 2))
    # A shard of the classes has the same images as the whole set.
    part = methods.get("random").condense(problem(ipc=3, parameters=FOUR, classes=(1,)))
    assert torch.equal(part.images, synthetic.images[3:6])


def test_one_image_an_image_is_what_it_was() -> None:
    assert methods.get("random").condense(problem(parameters={"formation": 1})).digest() == (
        methods.get("random").condense(problem()).digest()
    )


def test_learned_images_begin_with_parts_that_are_real_images() -> None:
    assert problem(ipc=2, parameters=FOUR).initial_images("real").shape == (6, 3, 16, 16)
    assert torch.equal(
        problem(ipc=2, parameters=FOUR).initial_images("real"),
        methods.get("random").condense(problem(ipc=2, parameters=FOUR)).images,
    )


@pytest.mark.parametrize("name", ["herding", "kcenter", "forgetting"])
def test_selections_choose_as_many_as_are_trained_on(name: str, tmp_path: Path) -> None:
    data = real_data()
    trained = {"features": [features_file(tmp_path, data)]}
    synthetic = methods.get(name).condense(problem(data, ipc=2, parameters=FOUR, trained=trained))
    eight = methods.get(name).condense(problem(data, ipc=8, trained=trained))
    parts = [encode(eight.images[eight.labels == c], 2) for c in range(3)]
    assert torch.equal(synthetic.images, torch.cat(parts))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ipc": 4, "parameters": FOUR},
            "ipc 4 with 4 images in each is more than the 15 training images of",
        ),
        ({"ipc": 1, "parameters": {"formation": 3}}, "formation 3 does not divide 16x16"),
    ],
)
def test_a_formation_that_the_data_do_not_allow_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(CondenseryError, match=message) as caught:
        problem(**changes)
    assert "\n" not in str(caught.value)


def test_a_memory_holds_sets_of_one_formation() -> None:
    parts = make(formation=2)
    memory = remember([parts], [0, 1], 2)
    assert memory.formation == 2
    assert len(memory) == 4
    assert len(Samples.of_set(memory, CPU)) == 16
    with pytest.raises(CondenseryError, match=r"formation 1, but .* has 2"):
        remember([make([0, 0], formation=2), make([1, 1])], [0, 1], 2)


def test_the_configuration_knows_the_parameter_where_it_is_not_given(tmp_path: Path) -> None:
    config = load_config(ROOT / "config", "smoke")
    assert "formation" not in config.parameters("digits", "random", "convnet", 1)
    check_set(config, "methods", "random", FOUR, tmp_path / "f", ())
    for values, message in (({"formation": 9}, "at most 8"), ({"formations": 2}, "did you mean 'formation'")):
        with pytest.raises(CondenseryError, match=message):
            check_set(config, "methods", "random", values, tmp_path / "f", ())


def test_every_table_says_what_sets_store_and_what_is_trained_on(tmp_path: Path) -> None:
    stored = {"images_stored": 10, "pixel_bytes": 640, "label_bytes": 400}
    plain = row(method="dm", images=10)
    soft = row(method="ld", images=10, **stored)
    parts = row(method="random", images=40, **{**stored, "label_bytes": 0})
    known = pd.DataFrame(columns=list(published.CELL))
    for number, rows in enumerate(([plain], [soft], [parts])):
        write_rows(rows, tmp_path / f"{number}.parquet")
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    assert kind_of(files[2]).script == kind_of(files[0]).script
    # A row does not name formation 1: there a stored image is one image of the data set, here 8 x 8 values.
    alone = cells(read_rows(files[:1], "test"), known, {"cifar10": 64})
    assert tuple(alone.columns) == COLUMNS
    assert alone[["images_stored", "images", "bytes"]].values.tolist() == [[10, 10, 640]]
    assert cells(read_rows(files[:1], "test"), known)["bytes"].isna().all()
    frame = cells(read_rows(files, "test"), known, {"cifar10": 64})
    assert frame.set_index("method")[["images", *STORAGE]].T.to_dict("list") == {
        "dm": [10, 10, 640],
        "ld": [10, 10, 1040],
        "random": [40, 10, 640],
    }
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_cells(tmp_path / "t.csv")["bytes"].tolist() == [640, 1040, 640]
    assert "table, 3 measured cells" in describe(tmp_path / "t.csv")


def test_a_set_of_parts_is_described_as_such(tmp_path: Path) -> None:
    make(formation=2).save(tmp_path / "a.safetensors")
    assert "10 images of 3x8x6 that hold 2x2 each (40 to train on)" in describe(tmp_path / "a.safetensors")


def test_exports_have_the_images_to_train_on_or_the_stored_ones_and_their_formation(tmp_path: Path) -> None:
    parts = make(formation=2)
    exchange.to_reference_pt([parts], tmp_path / "a.pt")
    assert torch.equal(exchange.from_reference_pt(tmp_path / "a.pt", INFO).images, parts.decoded().images)
    exchange.to_npz(parts, tmp_path / "a.npz")
    assert exchange.from_npz(tmp_path / "a.npz").digest() == parts.digest()
    exchange.to_png_folders(parts, tmp_path / "png")
    stored = exchange.from_png_folders(tmp_path / "png", INFO)
    assert stored.formation == 2
    assert torch.equal(stored.uint8_images(), parts.uint8_images())
    exchange.to_parquet(parts, tmp_path / "a.parquet")
    assert json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"condensery"])["formation"] == 2


def test_the_command_exports_what_is_trained_on_unless_told_otherwise(tmp_path: Path) -> None:
    make(formation=2).save(tmp_path / "a.safetensors")
    for options, images in (([], 40), (["--stored"], 10)):
        run(
            "export_set", tmp_path / "a.safetensors", "--format", "npz", "--out", tmp_path / "a.npz", *options
        )
        assert len(exchange.from_npz(tmp_path / "a.npz")) == images
