"""Splits: the images of a batch, and their values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from condensery.data import DataInfo, Split, arrays, normalize

CPU = torch.device("cpu")
INFO = DataInfo("made", 3, 4, 5, ("a", "b", "c", "d"), (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 3, 4, 5), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.random.default_rng(1).permutation(np.repeat([0, 1, 3], [20, 15, 5])).astype(np.int64)


def formula(pixels):
    mean, std = (np.array(v, dtype=np.float64).reshape(-1, 1, 1) for v in (INFO.mean, INFO.std))
    return (pixels.astype(np.float64) / 255 - mean) / std


@pytest.fixture(params=["array", "mapped", "read", "tensor"])
def split(request, pixels, labels, tmp_path, monkeypatch):
    """The same split in each kind of storage."""
    if request.param == "array":
        return Split(pixels, labels, INFO)
    if request.param == "tensor":
        return Split(torch.from_numpy(pixels.copy()), labels, INFO)
    if request.param == "read":
        monkeypatch.setattr(arrays, "MAPPED_BYTES", 0)
    np.save(tmp_path / "images.npy", pixels)
    return Split(np.load(tmp_path / "images.npy", mmap_mode="r"), labels, INFO)


def test_every_intensity_is_normalized_by_the_formula():
    every = np.tile(np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1), (1, 3, 1, 1))
    found = normalize(torch.from_numpy(every), INFO.mean, INFO.std)
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - formula(every)).max() < 1e-6


@pytest.mark.parametrize("wrap", [np.array, torch.tensor])
def test_a_batch_keeps_the_order_and_the_repetitions_of_its_indices(split, pixels, wrap):
    chosen = [7, 3, 4, 5, 39, 0, 3, 6]
    found = split.batch(wrap(chosen), CPU)
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - formula(pixels[chosen])).max() < 1e-6


@settings(max_examples=50, deadline=None)
@given(chosen=st.lists(st.integers(0, 39), max_size=12))
def test_reading_from_the_file_gives_the_rows_asked_for(chosen, tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 5), dtype=np.uint8)
    path = tmp_path_factory.mktemp("rows") / "images.npy"
    np.save(path, pixels)
    split = Split(np.load(path, mmap_mode="r"), np.zeros(40, dtype=np.int64), INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "MAPPED_BYTES", 0)
        found = split.subset(np.array(chosen, dtype=np.int64)).images
    assert not isinstance(found, np.memmap)
    assert np.array_equal(found, pixels[chosen])


def test_an_empty_batch_has_the_shape_of_one(split):
    assert split.batch(np.array([], dtype=np.int64), CPU).shape == (0, 3, 4, 5)


@pytest.mark.parametrize("bad", [[-1], [0, 40]])
def test_indices_outside_are_refused(split, bad):
    with pytest.raises(IndexError):
        split.batch(np.array(bad), CPU)
    with pytest.raises(IndexError):
        split.subset(np.array(bad))


def test_indices_of_a_class_are_its_positions_in_order(split, labels):
    for c in range(4):
        found = split.indices_of(c)
        assert found.dtype == np.int64
        assert np.array_equal(found, np.flatnonzero(labels == c))
    assert len(split.indices_of(2)) == 0


def test_a_subset_of_a_subset_is_the_images_that_it_names(split, pixels, labels):
    outer, inner = np.array([5, 30, 12, 8, 39]), np.array([4, 1, 1])
    part = split.subset(outer).subset(torch.tensor(inner))
    wanted = outer[inner]
    assert len(part) == 3
    assert np.array_equal(part.labels, labels[wanted])
    assert np.array_equal(np.asarray(part.images), pixels[wanted])
    assert torch.equal(part.batch(np.array([2, 0]), CPU), split.batch(wanted[[2, 0]], CPU))
    assert np.array_equal(part.indices_of(labels[39]), np.flatnonzero(labels[wanted] == labels[39]))


def test_a_resident_split_is_the_same_split(split, pixels, labels, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 7 * 60)
    held = split.resident(CPU)
    assert isinstance(held.images, torch.Tensor)
    assert held.images.dtype == torch.uint8
    assert np.array_equal(held.images.numpy(), pixels)
    part = split.subset(np.array([9, 2, 33])).resident(CPU)
    assert np.array_equal(part.images.numpy(), pixels[[9, 2, 33]])
    assert np.array_equal(part.labels, labels[[9, 2, 33]])
