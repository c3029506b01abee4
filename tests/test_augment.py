"""Augmentation: each family against a plain version, draws, gradients, the Siamese property."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condensery.augmentation import siamese, tables
from condensery.augmentation.siamese import FAMILIES, Draw
from condensery.errors import CondenseryError
from tests.reference import augment as plain

ALL = "color_crop_cutout_flip_scale_rotate"
SHAPES = [(3, 8, 8), (1, 9, 9), (3, 12, 7), (2, 5, 16)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_images(number, shape, seed=0):
    return torch.randn(number, *shape, dtype=torch.float64, generator=generator(seed))


def expected(images, family, rows):
    one = getattr(plain, family)
    images = [
        one(image.numpy(), *row.double().tolist()).copy() for image, row in zip(images, rows, strict=True)
    ]
    return torch.from_numpy(np.stack(images))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
@given(seed=st.integers(0, 2**32))
def test_a_family_equals_its_plain_version(family, shape, seed):
    images = random_images(4, shape, seed)
    before = images.clone()
    for rows in (1, 4):
        drawn = siamese.draw(family, rows, shape[1:], generator(seed))
        got = siamese.apply(images, drawn)
        want = expected(images, family, drawn.values.expand(4, -1))
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)
    assert torch.equal(images, before)


def test_shifts_and_squares_move_pixels_exactly():
    """At the extremes of the parameters, pixels are moved without arithmetic."""
    images = random_images(9, (2, 8, 8))
    corners = {"crop": (-1.0, 0.0, 1.0), "cutout": (0.0, 3.0, 8.0)}
    for family, values in corners.items():
        rows = torch.cartesian_prod(torch.tensor(values), torch.tensor(values))
        want = expected(images, family, rows)
        assert torch.equal(siamese.apply(images, Draw(family, rows)), want)
        for image, row, target in zip(images, rows, want, strict=True):
            assert torch.equal(siamese.apply(image[None], Draw(family, row[None]))[0], target)


@given(st.integers(0, 2**32))
def test_both_batches_of_a_siamese_draw_see_the_same_augmentation(seed):
    synthetic = random_images(3, (3, 8, 8), seed).float()
    real = torch.cat([synthetic, random_images(5, (3, 8, 8), seed + 1).float()])
    shared = siamese.draw(ALL, 1, (8, 8), generator(seed))
    torch.testing.assert_close(siamese.apply(real, shared)[:3], siamese.apply(synthetic, shared))
    # All images of a batch share one row of parameters.
    each = Draw(shared.family, shared.values.expand(8, -1))
    torch.testing.assert_close(siamese.apply(real, shared), siamese.apply(real, each), rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2**32), st.integers(2, 300))
def test_a_longer_draw_begins_with_the_shorter_one(seed, rows):
    first = siamese.draw(ALL, 1, (32, 32), generator(seed))
    many = siamese.draw(ALL, rows, (32, 32), generator(seed))
    assert many.family == first.family
    assert torch.equal(many.values[:1], first.values)
    assert many.values.shape == (rows, first.values.shape[1])


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", [0, 1])  # both outcomes of the flip
def test_gradients_agree_with_finite_differences(family, rows, seed):
    images = random_images(2, (3, 5, 5), seed).requires_grad_()
    drawn = siamese.draw(family, rows, (5, 5), generator(seed))
    assert torch.autograd.gradcheck(lambda x: siamese.apply(x, drawn), (images,))


@pytest.mark.parametrize(
    ("side", "reach", "centers"), [(8, 1, 9), (16, 2, 17), (28, 4, 29), (32, 4, 33), (64, 8, 65), (9, 1, 9)]
)
def test_whole_numbers_cover_their_range_evenly(side, reach, centers):
    draws = 400 * centers
    for family, low, number in (("crop", -reach, 2 * reach + 1), ("cutout", 0, centers)):
        for column in siamese.draw(family, draws, (side, side), generator()).values.unbind(1):
            values, counts = column.unique(return_counts=True)
            assert values.tolist() == list(range(low, low + number))
            even = draws / number
            assert (counts - even).abs().max() < 5 * even**0.5
    assert siamese.draw("crop", 999, (8, 32), generator()).values.amax(0).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("family", "low", "high", "columns"),
    [("color", 0, 1, 3), ("flip", 0, 1, 1), ("scale", 1 / 1.2, 1.2, 2), ("rotate", -15, 15, 1)],
)
def test_real_numbers_are_uniform_in_their_range(family, low, high, columns):
    values = siamese.draw(family, 20_000, (32, 32), generator()).values
    assert values.shape == (20_000, columns)
    unit = (values - low) / (high - low)
    quantiles = torch.linspace(0, 1, 11)
    assert unit.min() >= -1e-6
    assert unit.max() <= 1 + 1e-6
    for column in unit.unbind(1):
        torch.testing.assert_close(torch.quantile(column, quantiles), quantiles, rtol=0, atol=0.02)
    if columns > 1:
        assert torch.corrcoef(values.T).triu(1).abs().max() < 0.05


def test_families_are_drawn_evenly():
    stream = generator()
    drawn = [siamese.draw("color_crop_rotate", 1, (8, 8), stream).family for _ in range(3000)]
    for family in ("color", "crop", "rotate"):
        assert abs(drawn.count(family) - 1000) < 130  # five standard deviations
    assert set(drawn) == {"color", "crop", "rotate"}


def test_none_leaves_the_images_as_they_are():
    images = random_images(2, (3, 8, 8))
    nothing = siamese.draw("none", 2, (8, 8), generator())
    assert nothing.family is None
    assert torch.equal(siamese.apply(images, nothing), images)


def test_the_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = siamese.draw(ALL, 3, (8, 8), generator(4))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(siamese.draw(ALL, 3, (8, 8), generator(4)).values, first.values)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_memory_format_and_precision_change_nothing_but_rounding(family, rows):
    images = random_images(3, (3, 8, 8)).float()
    drawn = siamese.draw(family, rows, (8, 8), generator(1))
    want = siamese.apply(images, drawn)
    assert want.dtype == torch.float32
    torch.testing.assert_close(siamese.apply(images.to(memory_format=torch.channels_last), drawn), want)
    half = siamese.apply(images.bfloat16(), drawn)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), want, rtol=0.05, atol=0.1)


COMPOSITE = "flip+color+crop_scale_rotate+cutout"


def chain(draw):
    return [] if draw is None else [draw, *chain(draw.after)]


@pytest.mark.parametrize("rows", [1, 4])
@given(seed=st.integers(0, 2**32))
def test_groups_are_applied_one_after_the_other_with_one_family_of_each(rows, seed):
    images = random_images(4, (3, 8, 8), seed)
    drawn = siamese.draw(COMPOSITE, rows, (8, 8), generator(seed))
    (moved,) = siamese.moved([drawn], torch.device("cpu"))
    families = [each.family for each in chain(drawn)]
    assert families[:2] + families[3:] == ["flip", "color", "cutout"]
    assert families[2] in ("crop", "scale", "rotate")
    want = images
    for each in chain(drawn):
        want = expected(want, each.family, each.values.expand(4, -1))
    torch.testing.assert_close(siamese.apply(images, drawn), want, rtol=1e-6, atol=1e-6)
    assert torch.equal(siamese.apply(images, moved), siamese.apply(images, drawn))


def test_one_of_a_group_is_drawn_evenly_whatever_the_others_draw():
    stream = generator()
    drawn = [chain(siamese.draw("flip_color+crop_rotate", 1, (8, 8), stream)) for _ in range(2000)]
    pairs = [(first.family, second.family) for first, second in drawn]
    for first in ("flip", "color"):
        for second in ("crop", "rotate"):
            assert abs(pairs.count((first, second)) - 500) < 100  # five standard deviations


def test_a_longer_composite_draw_begins_with_the_shorter_one():
    first, many = (siamese.draw(COMPOSITE, rows, (32, 32), generator(3)) for rows in (1, 50))
    for one, several in zip(chain(first), chain(many), strict=True):
        assert one.family == several.family
        assert torch.equal(several.values[:1], one.values)


def test_a_strategy_of_one_group_draws_its_family_then_its_rows():
    """The stream of the released sets: one whole number, then the rows of the family."""
    drawn, stream = siamese.draw("flip_rotate_color", 5, (8, 8), generator(7)), generator(7)
    family = ("flip", "rotate", "color")[int(torch.randint(3, (1,), generator=stream))]
    assert (drawn.family, drawn.after) == (family, None)
    uniform = torch.rand(5, {"flip": 1, "rotate": 1, "color": 3}[family], generator=stream)
    torch.testing.assert_close(drawn.values, (uniform - 0.5) * 30 if family == "rotate" else uniform)


def test_parse_lists_the_families():
    assert siamese.parse(ALL) == FAMILIES
    assert siamese.parse("crop") == ("crop",)
    assert siamese.parse("none") == ()
    assert siamese.groups("flip+crop_scale") == (("flip",), ("crop", "scale"))
    assert siamese.parse("flip+crop_scale") == ("flip", "crop", "scale")


@pytest.mark.parametrize(
    ("strategy", "word"),
    [
        ("", "''"),
        ("color_none", "'none'"),
        ("blur", "'blur'"),
        ("crop_crop", "twice"),
        ("crop+flip_crop", "twice"),
        ("crop+", "''"),
    ],
)
def test_a_wrong_strategy_is_refused_in_one_line(strategy, word):
    with pytest.raises(CondenseryError) as refused:
        siamese.draw(strategy, 1, (8, 8), generator())
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_rows_that_fit_no_image_are_refused():
    with pytest.raises(ValueError, match="3 rows of parameters for 2 images"):
        siamese.apply(random_images(2, (3, 8, 8)), siamese.draw(ALL, 3, (8, 8), generator()))


@pytest.mark.parametrize("strategy", [ALL, "flip+color+crop_scale_rotate", "cutout_crop", "none"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 9, 12)])
def test_tables_do_what_the_draws_do_whatever_was_drawn(strategy, rows, shape):
    draws = [siamese.draw(strategy, rows, shape[1:], generator(seed)) for seed in range(24)]
    images = random_images(24 * 3, shape).float()
    leaves = [images.clone().requires_grad_() for _ in range(2)]
    table = tables.spread(tables.of(draws, strategy, shape[1:]))
    got = tables.apply(leaves[0].view(24 * rows, 3 // rows, *shape), table).view(images.shape)
    want = torch.cat([siamese.apply(*each) for each in zip(leaves[1].split(3), draws, strict=True)])
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
    weights = random_images(len(images), shape, seed=1).float()
    of_got, of_want = (
        torch.autograd.grad((x * weights).sum(), leaf)[0] for x, leaf in zip((got, want), leaves, strict=True)
    )
    torch.testing.assert_close(of_got, of_want, rtol=1e-5, atol=1e-5)
    moved = [
        {"crop", "cutout", "flip", None}.issuperset(each.family for each in siamese.chain(d)) for d in draws
    ]
    halves = all(length.bit_count() == 1 for length in shape[1:])  # sides whose fractions have no rounding
    for one, other, exactly in zip(got.split(3), want.split(3), moved, strict=True):
        assert not (exactly and halves) or torch.equal(one, other)
