"""DC's augmentation: each family against a plain version, and the draws of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condensery.augmentation import dc
from condensery.errors import CondenseryError
from condensery.machine.transfer import Parcel
from tests.reference import dc_augment as plain

ALL = "dc_crop_scale_rotate_noise"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(number, side, seed=0):
    return torch.randn(number, 2, side, side, dtype=torch.float64, generator=generator(seed))


def augmented(images, strategy, seed=0):
    return dc.apply(images, dc.draw(strategy, images.shape, generator(seed)))


def stacked(images):
    return torch.from_numpy(np.stack([image.copy() for image in images]))


@given(st.integers(0, 2**32), st.sampled_from([8, 9, 28]))
def test_crop_equals_its_plain_version(seed, side):
    images, fill = random_images(4, side, seed), torch.tensor([0.5, -2.0], dtype=torch.float64)
    shifts = torch.randint(-4, 4, (4, 2), generator=generator(seed))
    want = stacked(
        [plain.crop(x.numpy(), *row.tolist(), fill) for x, row in zip(images, shifts, strict=True)]
    )
    assert torch.equal(dc.crop(images, shifts, fill), want)


@pytest.mark.parametrize("side", [8, 9, 28])
def test_scale_equals_its_plain_version_at_every_size(side):
    reach = torch.arange(int(0.8 * side), int(1.2 * side) + 1)
    sizes = torch.cartesian_prod(reach, reach)
    images = random_images(1, side).expand(len(sizes), -1, -1, -1)
    want = stacked([plain.scale(images[0].numpy(), *row) for row in sizes.tolist()])
    assert torch.equal(dc.scale(images, sizes), want)


@pytest.mark.parametrize("side", [8, 9, 28])
def test_rotate_equals_scipys_at_every_angle(side):
    degrees = torch.arange(-45, 45)
    images = random_images(len(degrees), side)
    want = stacked(
        [plain.rotate(x.numpy(), angle, 0.3) for x, angle in zip(images, degrees.tolist(), strict=True)]
    )
    turned = dc.rotate(images, degrees, torch.tensor(0.3, dtype=torch.float64))
    torch.testing.assert_close(turned, want, rtol=0, atol=1e-10)
    single = dc.rotate(images.float(), degrees, torch.tensor(0.3))
    torch.testing.assert_close(single.double(), want, rtol=0, atol=1e-4)


@pytest.fixture
def seen(monkeypatch):
    """Record the arguments of every family, and replace its images by zeros."""
    calls = {}
    for family in ("crop", "scale", "rotate"):

        def record(images, *values, family=family):
            calls[family] = (images.clone(), *values)
            return torch.zeros_like(images)

        monkeypatch.setattr(dc, family, record)
    return calls


def test_every_image_gets_one_family_and_all_are_drawn_evenly(seen):
    images = random_images(4000, 8)
    result = augmented(images, ALL)
    moved = (result != images).flatten(1).any(1)
    assert moved.all()
    noisy = result.flatten(1).any(1)
    counts = [len(seen[family][0]) for family in ("crop", "scale", "rotate")] + [int(noisy.sum())]
    assert sum(counts) == 4000
    assert max(abs(count - 1000) for count in counts) < 140  # five standard deviations
    together = torch.cat([*(seen[family][0] for family in seen), images[noisy]])
    assert torch.equal(together.sum((1, 2, 3)).sort().values, images.sum((1, 2, 3)).sort().values)
    difference = (result - images)[noisy]
    assert difference.std().item() == pytest.approx(0.001, rel=0.02)
    assert abs(difference.mean().item()) < 1e-5


def test_values_cover_the_ranges_of_the_authors_code_evenly(seen):
    images = random_images(9000, 28)
    for strategy in ("dc_crop", "dc_scale", "dc_rotate"):
        augmented(images, strategy)
    wanted = {"crop": range(-4, 4), "rotate": range(-45, 45)}
    for family, values in wanted.items():
        drawn, counts = seen[family][1].flatten().unique(return_counts=True)
        assert drawn.tolist() == list(values)
        even = counts.sum() / len(values)
        assert (counts - even).abs().max() < 5 * even**0.5
    # int(28 u) with u in [0.8, 1.2): 22.4 to 33.6, so the first and the last are rarer.
    sizes, counts = seen["scale"][1].flatten().unique(return_counts=True)
    assert sizes.tolist() == list(range(22, 34))
    even = counts.sum() / 11.2
    assert (counts[1:-1] - even).abs().max() < 5 * even**0.5
    assert counts[[0, -1]] / even == pytest.approx([0.6, 0.6], abs=0.1)
    for family, values in (("crop", seen["crop"][1]), ("scale", seen["scale"][1])):
        assert abs(torch.corrcoef(values.T.double())[0, 1]) < 0.05, family


def test_what_comes_in_from_outside_is_the_mean_of_the_batch(seen):
    images = random_images(5, 8)
    for strategy in ("dc_crop", "dc_rotate"):
        augmented(images, strategy)
    means = images.mean((0, 2, 3))
    torch.testing.assert_close(seen["crop"][2], means)
    torch.testing.assert_close(seen["rotate"][2], means.mean())


@given(st.integers(0, 2**32))
def test_the_generator_says_everything_and_the_images_stay(seed):
    images = random_images(6, 8, seed).float()
    before, state = images.clone(), torch.get_rng_state()
    first = augmented(images, ALL, seed)
    assert torch.equal(first, augmented(images, ALL, seed))
    assert first.dtype == torch.float32
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("strategy", ["crop_scale", "dc_", "dc_flip", "dc_crop_crop", "none"])
def test_a_wrong_strategy_is_refused_in_one_line(strategy):
    with pytest.raises(CondenseryError, match=repr(strategy)) as refused:
        dc.draw(strategy, (2, 1, 8, 8), generator())
    assert "\n" not in str(refused.value)


def test_draws_of_several_batches_leave_a_parcel_as_they_were():
    draws = [dc.draw(ALL, (64, 1, 8, 8), generator(seed)) for seed in (0, 1)]
    assert all(draw.parts.keys() == set(dc.parse(ALL)) for draw in draws)
    parcel = Parcel(torch.device("cpu"))
    taken_out = dc.added(draws, parcel)
    parcel.close()
    for before, after in zip(draws, taken_out(), strict=True):
        assert list(after.parts) == list(before.parts)
        for family, (rows, values) in before.parts.items():
            assert torch.equal(after.parts[family][0], rows)
            assert torch.equal(after.parts[family][1], values)
