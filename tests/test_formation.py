"""Formation: what a stored image decodes to, and what is stored for real images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from condensery.errors import CondenseryError
from condensery.formation import decode, encode
from condensery.synthetic import SyntheticSet, gather
from condensery.training.samples import Samples
from tests.problems import CPU
from tests.test_synthetic import make


def images(count: int, size: int = 8, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(count))


def test_parts_come_row_by_row_each_as_bilinear_interpolation_enlarges_it() -> None:
    stored, labels = images(3), torch.tensor([0, 1, 2])
    decoded, repeated = decode(stored, labels, 2)
    quarters = [stored[:, :, :4, :4], stored[:, :, :4, 4:], stored[:, :, 4:, :4], stored[:, :, 4:, 4:]]
    for part, quarter in enumerate(quarters):
        expected = functional.interpolate(quarter, (8, 8), mode="bilinear", align_corners=False)
        assert torch.equal(decoded[3 * part : 3 * part + 3], expected)
    assert repeated.tolist() == [0, 1, 2] * 4
    # By hand: the first pixels of a row 0, 1 enlarged twice are 0, 1/4, 3/4, 1.
    row = torch.tensor([0.0, 1.0, 5.0, 5.0]).expand(1, 1, 4, 4)
    assert decode(row, torch.zeros(1), 2)[0][0, 0, 0].tolist() == [0, 0.25, 0.75, 1]


def test_a_factor_of_one_is_the_identity_and_any_factor_keeps_a_constant() -> None:
    stored, labels = images(2), torch.tensor([1, 0])
    same = decode(stored, labels, 1)
    assert same[0] is stored
    assert same[1] is labels
    assert torch.equal(
        decode(torch.full((1, 3, 9, 6), 0.3), torch.zeros(1), 3)[0], torch.full((9, 3, 9, 6), 0.3)
    )


def test_every_stored_pixel_gets_the_gradient_of_its_own_part_alone() -> None:
    stored = images(2).requires_grad_()
    decoded, _ = decode(stored, torch.zeros(2), 2)
    (all_of_them,) = torch.autograd.grad(decoded.sum(), stored, retain_graph=True)
    assert torch.allclose(all_of_them, torch.full_like(stored, 4.0))
    (first,) = torch.autograd.grad(decoded[0].sum(), stored)
    assert (first[0, :, :4, :4] != 0).all()
    assert first.count_nonzero() == 3 * 4 * 4


def test_sides_that_the_factor_does_not_divide_are_filled_up_with_gray() -> None:
    stored = torch.zeros(1, 1, 28, 28)
    decoded, _ = decode(stored, torch.zeros(1), 3)
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
    assert torch.allclose(decode(encode(smooth, 2), torch.zeros(2), 2)[0], smooth)
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
    expected, labels = decode(whole.images, whole.labels, 2)
    assert torch.equal(samples.batch(torch.arange(40)), expected)
    assert torch.equal(samples.labels, labels)
    assert len(loaded.as_dataset("unit")) == 40  # type: ignore[arg-type]
    assert loaded.storage() == {"images_stored": 10, "pixel_bytes": 10 * 3 * 8 * 6, "label_bytes": 0}


def test_the_gray_that_fills_up_is_gray_in_the_normalized_space_of_the_set() -> None:
    black = torch.full((5, 3, 8, 6), 0.0)
    unit = make([0, 1, 2, 3, 4], images=black, formation=3)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (unit.mean, unit.std))
    expected, _ = decode(black * std + mean, unit.labels, 3)
    assert torch.allclose(unit.decoded().images * std + mean, expected, atol=1e-6)


def test_code_that_does_not_know_of_formation_refuses_the_file(tmp_path: Path) -> None:
    from condensery.files import read_tensors

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
