"""Views: without test images, of some classes, in another shape."""

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
def test_another_shape_is_bilinear_and_repeats_grey(channels: int, wanted: tuple[int, ...]) -> None:
    data = problems.real_data(channels=channels)
    made = views.reshaped(data, Shape(*wanted))
    assert views.shape_of(made.info) == wanted
    assert len(made.info.mean) == len(made.info.std) == wanted[0]
    for before, after in ((data.train, made.train), (data.test, made.test)):
        assert np.array_equal(after.labels, before.labels)
        for i in (0, len(before) - 1):
            for c in range(wanted[0]):
                plane = Image.fromarray(before.images[i, c if channels == 3 else 0])
                resized = plane.resize((wanted[2], wanted[1]), Image.Resampling.BILINEAR)
                # Both round to 8 bits, each from its own arithmetic.
                assert np.abs(np.asarray(resized, int) - after.images[i, c]).max() <= 1


def test_the_same_shape_is_the_same_data() -> None:
    data = problems.real_data()
    assert views.reshaped(data, Shape(3, 16, 16)) is data
    with pytest.raises(CondenseryError, match="3 channels"):
        views.reshaped(data, Shape(1, 16, 16))
