"""Whitened data sets: the matrix against its definition, and sets and test images in one space."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from condensery import data, exchange
from condensery.data import DataInfo
from condensery.data.views import reshaped
from condensery.data.whitening import fitted
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet

SPEC = {
    "channels": 1,
    "size": [8, 8],
    "classes": [str(c) for c in range(10)],
    "mean": [0.0],
    "std": [1.0],
    "zca": {"ridge": 0.1, "relative": False},
    "sources": [{"kind": "digits"}],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whitened")
    data.prepare("digits-zca", SPEC, folder / "raw", folder / "prepared")
    return folder / "prepared"


def test_whitened_training_images_have_the_covariance_of_the_definition(prepared: Path) -> None:
    real = data.load(prepared)
    seen = real.train.batch(np.arange(len(real.train)), torch.device("cpu")).flatten(1).double().numpy()
    pixels = np.asarray(real.train.images).reshape(len(seen), -1) / 255
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    # Along the same directions the eigenvalues s become s / (s + 0.1), and the mean becomes 0.
    wanted = (vectors * (values / (values + 0.1))) @ vectors.T
    np.testing.assert_allclose(np.cov(seen.T), wanted, atol=1e-5)
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-5)
    # The number of images per read has no effect, and a relative ridge is a multiple of the mean eigenvalue.
    images = np.asarray(real.train.images)
    whole = np.load(prepared / "whitening.npy")
    pieces = fitted(np.array_split(images, 7), (0.0,), (1.0,), ridge=0.1, relative=False)
    np.testing.assert_allclose(np.frombuffer(pieces[128:], np.float32), whole.ravel(), atol=1e-6)
    share = 0.1 / np.trace(np.cov(pixels.T)) * 64
    relative = fitted([images], (0.0,), (1.0,), ridge=share, relative=True)
    np.testing.assert_allclose(np.frombuffer(relative[128:], np.float32), whole.ravel(), atol=1e-6)


def test_a_set_is_in_the_space_of_the_whitened_test_images(prepared: Path, tmp_path: Path) -> None:
    real = data.load(prepared)
    rows = torch.arange(20)
    bytes_ = torch.tensor(real.test.images[:20])
    labels = torch.as_tensor(real.test.labels[:20])
    wanted = real.test.batch(rows, torch.device("cpu"))
    # Pixels are whitened like the data; whitened images, such as MTT's without a matrix, are left unchanged.
    for images, name in ((bytes_, "images.pt"), (bytes_ / 255, "images_1.pt"), (wanted, "images_2.pt")):
        torch.save(images, tmp_path / name)
        torch.save(labels, tmp_path / name.replace("images", "labels"))
        found = exchange.read(tmp_path / name, real.info)
        torch.testing.assert_close(found.images, wanted, rtol=0, atol=1e-4)
    found.save(tmp_path / "set.safetensors")
    back = SyntheticSet.load(tmp_path / "set.safetensors")
    assert (back.whitening, back.digest()) == (found.whitening, found.digest())
    assert back.whitening == real.info.whitened_by != ""
    back.check_against(real.info)
    other = DataInfo("digits", 1, 8, 8, real.info.classes, (0.0,), (1.0,))
    with pytest.raises(CondenseryError, match=r"set.safetensors: whitened, unlike digits; give"):
        back.check_against(other)
    with pytest.raises(CondenseryError, match="are whitened and have no pixels from 0 to 1"):
        back.unit_images()
    with pytest.raises(CondenseryError, match="cannot change its size"):
        reshaped(real, (3, 8, 8))


def test_a_whitening_that_is_altered_or_of_other_images_is_refused(prepared: Path, tmp_path: Path) -> None:
    for name in prepared.iterdir():
        if name.is_file():
            (tmp_path / name.name).write_bytes(name.read_bytes())
    with pytest.raises(CondenseryError, match="whitens images of 64 values, not of 48"):
        data.load(prepared).info.whitened(torch.zeros(2, 3, 4, 4))
    (tmp_path / "whitening.npy").write_bytes(b"")
    with pytest.raises(CondenseryError, match=r"whitening\.npy: altered since it was prepared"):
        data.load(tmp_path)


def test_rounding_of_the_matrix_makes_no_other_data_set(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(*args, **options) -> bytes:
        values = np.load(io.BytesIO(fitted(*args, **options)))
        stream = io.BytesIO()
        np.save(stream, np.nextafter(values, np.float32(9)))
        return stream.getvalue()

    monkeypatch.setattr("condensery.data.whitening.fitted", rounded)
    here, other = data.load(prepared), tmp_path / "other"
    data.prepare("digits-zca", SPEC, tmp_path / "raw", other)
    assert (other / "whitening.npy").read_bytes() != (prepared / "whitening.npy").read_bytes()
    there = data.load(other)
    assert (there.info.whitened_by, there.content) == (here.info.whitened_by, here.content)
    synthetic = SyntheticSet.of(there.info, torch.zeros(10, 1, 8, 8), torch.arange(10))
    synthetic.check_against(here.info)
    # Another ridge is another whitening.
    data.prepare(
        "digits-zca", SPEC | {"zca": {"ridge": 0.2, "relative": False}}, tmp_path / "raw", tmp_path / "more"
    )
    assert data.load(tmp_path / "more").info.whitened_by != here.info.whitened_by


def test_what_is_not_whitened_is_described_as_before(prepared: Path) -> None:
    described = json.loads((prepared / "info.json").read_text())
    assert described["whitening"] == data.load(prepared).info.whitened_by
    plain = DataInfo("digits", 1, 8, 8, ("0", "1"), (0.0,), (1.0,))
    assert set(plain.described()) == {"name", "channels", "height", "width", "classes", "mean", "std"}
