"""Views of data: without test images, with some of the classes, in another shape."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from condensery.data import views
from condensery.data.contents import Shape
from condensery.errors import CondenseryError
from tests import problems

CPU = torch.device("cpu")


def test_classes_keep_their_labels_and_their_order_of_images() -> None:
    data = problems.real_data(classes=4)
    part = views.of_classes(data, (3, 1))
    for whole, view in ((data.train, part.train), (data.test, part.test)):
        kept = [i for i, label in enumerate(whole.labels) if label in (1, 3)]
        assert view.labels.tolist() == [whole.labels[i] for i in kept]
        assert np.array_equal(view.images, whole.images[kept])
        assert len(view.indices_of(0)) == 0
        assert view.info == part.info
    assert part.info == dataclasses.replace(data.info, name="patterns, classes 1, 3")


@pytest.mark.parametrize("classes", [(0, 4), (-1,), (2, 2)])
def test_classes_that_are_not_there_are_refused(classes) -> None:
    with pytest.raises(CondenseryError, match="patterns"):
        views.of_classes(problems.real_data(classes=4), classes)


def test_nothing_is_left_of_the_test_images() -> None:
    data = problems.real_data()
    bare = views.training_only(data)
    assert len(bare.test) == 0
    assert bare.test.images.shape == (0, 3, 16, 16)
    assert bare.train is data.train


@pytest.mark.parametrize(("channels", "wanted"), [(1, (3, 20, 32)), (3, (3, 32, 32)), (1, (1, 17, 16))])
def test_another_shape_is_bilinear_and_repeats_gray(channels: int, wanted: tuple[int, ...]) -> None:
    data = problems.real_data(channels=channels)
    view = views.reshaped(data, Shape(*wanted))
    assert views.shape_of(view.info) == wanted
    assert len(view.info.mean) == len(view.info.std) == wanted[0]
    for before, after in ((data.train, view.train), (data.test, view.test)):
        assert np.array_equal(after.labels, before.labels)
        for i in (0, len(before) - 1):
            for c in range(wanted[0]):
                plane = Image.fromarray(before.images[i, c if channels == 3 else 0])
                resized = plane.resize((wanted[2], wanted[1]), Image.Resampling.BILINEAR)
                # Both round to 8 bits, after different arithmetic.
                assert np.abs(np.asarray(resized, int) - after.images[i, c]).max() <= 1


def test_the_same_shape_is_the_same_data() -> None:
    data = problems.real_data()
    assert views.reshaped(data, Shape(3, 16, 16)) is data
    with pytest.raises(CondenseryError, match="3 channels"):
        views.reshaped(data, Shape(1, 16, 16))


def test_validation_images_are_training_images_that_are_held_out_at_random() -> None:
    data = problems.real_data(classes=4, per_class=50)
    view = views.held_out(data, 0.1, seed=3)
    assert (len(view.train), len(view.test)) == (169, 19)  # of 188: the last class is smaller
    together = np.concatenate([view.train.images, view.test.images])
    assert sorted(image.tobytes() for image in together) == sorted(i.tobytes() for i in data.train.images)
    for part in (view.train, view.test):
        for image, label in zip(part.images, part.labels, strict=True):
            (row,) = np.flatnonzero((data.train.images == image).all((1, 2, 3)))
            assert data.train.labels[row] == label
    assert not np.array_equal(view.test.images, data.train.images[:19])
    again, other = (views.held_out(data, 0.1, seed).test.images for seed in (3, 4))
    assert np.array_equal(again, view.test.images)
    assert not np.array_equal(other, view.test.images)


def test_a_limit_leaves_the_validation_images_as_they_are() -> None:
    data = problems.real_data(classes=4, per_class=50)
    whole, limited = views.held_out(data, 0.1, 0), views.held_out(data, 0.1, 0, limit=40)
    assert np.array_equal(limited.test.images, whole.test.images)
    known = {image.tobytes() for image in whole.train.images}
    assert len({image.tobytes() for image in limited.train.images} & known) == len(limited.train) == 40
    assert len(set(limited.train.labels)) == 4


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_view_without_training_or_validation_images_is_refused(fraction: float) -> None:
    with pytest.raises(CondenseryError, match=r"patterns: .* choose another fraction"):
        views.held_out(problems.real_data(), fraction, 0)
