"""Soft labels of a teacher: their values, their teacher, and the unchanged rest of the set."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from unittest import mock

import pytest
import torch

from condensery import data, identity, networks
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet
from condensery.training.pretrained import trained_network
from condensery.training.relabeling import relabeled, soft_labels
from tests import problems
from tests.scripts import run

ABOUT = {"network": "convnet-d1-w8", "recipe": {"name": "teacher"}, "seed": 0}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    data = problems.real_data(size=8)
    path = problems.features_file(tmp_path_factory.mktemp("teacher"), data, "convnet-d1-w8")
    return trained_network(path, data.info, "convnet-d1-w8")


def synthetic(formation: int = 1, **changes: object) -> SyntheticSet:
    info = problems.real_data(size=8).info
    images = torch.randn(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(7) % 3
    provenance = {"experiment": {"method": "dm", "seed": 0}, **changes}
    return SyntheticSet(
        images, labels, info.classes, info.mean, info.std, provenance, learning_rate=0.25, formation=formation
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_labels_are_the_probabilities_of_each_image_alone(teacher, temperature):
    images = synthetic().images
    found = soft_labels(teacher, images, problems.CPU, temperature)
    assert found.dtype == torch.float32
    with torch.no_grad():
        for image, label in zip(images, found, strict=True):
            powers = (teacher(image[None])[0].double() / temperature).exp()
            torch.testing.assert_close(label.double(), powers / powers.sum(), rtol=1e-5, atol=1e-6)


def test_a_teacher_with_batch_norm_labels_as_it_is_tested():
    """With its running statistics, whatever mode it comes in, and not with those of the images."""
    network = networks.build("convnet-d1-w8-bn", channels=3, size=(8, 8), classes=3)
    networks.initialize(network, torch.Generator().manual_seed(0))
    images = synthetic().images
    found = soft_labels(network.train(), images, problems.CPU)
    torch.testing.assert_close(found, network.eval()(images).softmax(1).detach())


def test_a_higher_temperature_spreads_the_labels(teacher):
    images = synthetic().images
    sharp, even = (soft_labels(teacher, images, problems.CPU, t) for t in (1.0, 20.0))
    assert torch.equal(sharp.argmax(1), even.argmax(1))
    assert (even.amax(1) < sharp.amax(1)).all()


def test_all_but_the_labels_stays(teacher):
    before = synthetic()
    after = relabeled(before, teacher, ABOUT, problems.CPU, 2.0)
    assert before.labels.dtype == torch.int64
    assert torch.equal(after.images, before.images)
    assert (after.learning_rate, after.classes, after.mean) == (0.25, before.classes, before.mean)
    assert after.provenance == before.provenance | {"relabeled": {"teacher": ABOUT, "temperature": 2.0}}
    again = relabeled(after, teacher, ABOUT, problems.CPU, 2.0)
    assert torch.equal(again.labels, after.labels)


@pytest.mark.parametrize("imported", [{}, {"imported": {"file": "x.pt"}}])
def test_a_relabeled_set_is_of_another_kind_whatever_the_seeds(teacher, imported):
    before = synthetic(**imported)
    kinds = [
        identity.settings(relabeled(before, teacher, ABOUT | changed, problems.CPU, temperature).provenance)
        for changed, temperature in (({}, 1.0), ({"seed": 1}, 1.0), ({}, 2.0), ({"network": "mlp"}, 1.0))
    ]
    assert kinds[0] == kinds[1]
    for other in (identity.settings(before.provenance), kinds[2], kinds[3]):
        assert other != kinds[0]


def test_images_of_parts_are_refused(teacher):
    with pytest.raises(CondenseryError, match="2x2 small ones"):
        relabeled(synthetic(formation=2), teacher, ABOUT, problems.CPU)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the prepared digits, and a set of two random images of each class."""
    folder = tmp_path_factory.mktemp("relabel")
    done = run("prepare", "--data", "digits", "--out", folder / "digits")
    assert done.returncode == 0, done.stderr
    words = ("--method", "random", "--ipc", 2, "--seed", 0, "--out", folder / "set.safetensors")
    done = run("condense", *common(folder / "digits"), *words)
    assert done.returncode == 0, done.stderr
    return folder


def common(prepared: Path) -> tuple[object, ...]:
    network = ("--network", "convnet-d1-w8", "--threads", 1)
    return ("--data", "digits", "--prepared", prepared, "--protocol", "smoke", *network)


def test_a_teacher_from_a_file_labels_as_one_that_is_trained_at_once(files, tmp_path):
    prepared, unlabeled = files / "digits", files / "set.safetensors"
    teacher, out = tmp_path / "teacher.safetensors", tmp_path / "a.safetensors"
    done = run("pretrain", *common(prepared), "--seed", 3, "--recipe", "teacher", "--out", teacher)
    assert done.returncode == 0, done.stderr
    done = run("relabel", unlabeled, *common(prepared), "--teacher", teacher, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "of 20 images" in done.stdout
    found = SyntheticSet.load(out)
    assert found.labels.shape == (20, 10)
    torch.testing.assert_close(found.labels.sum(1), torch.ones(20))
    stated = found.provenance["relabeled"]["teacher"]
    assert (stated["recipe"]["name"], stated["recipe"]["epochs"], stated["seed"]) == ("teacher", 3, 3)
    # The test images are not read: without them the result is the same.
    load = data.load
    with mock.patch.object(data, "load", lambda path: dataclasses.replace(load(path), test=Untouched())):
        words = ("--epochs", 3, "--seed", 3, "--out", tmp_path / "b.safetensors")
        done = run("relabel", unlabeled, *common(prepared), *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.safetensors").read_bytes() == out.read_bytes()
    made_here = {"a.safetensors", "b.safetensors", "teacher.safetensors"}
    assert {path.name for path in tmp_path.iterdir()} == made_here


class Untouched:
    """Test images that must not be read."""

    info = None

    def subset(self, rows):
        """Return these images unread."""
        assert len(rows) == 0
        return self


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--temperature", "0"), "--temperature 0"),
        (("--temperature", "nan"), "--temperature nan"),
        (("--teacher", "set.safetensors"), "cannot be read as a features file|made for"),
        (("--teacher", "set.safetensors", "--seed", "1"), "omit --seed"),
    ],
)
def test_wrong_words_are_refused_in_one_line(files, tmp_path, words, message):
    words = [str(files / word) if word == "set.safetensors" else word for word in words]
    done = run(
        "relabel", files / "set.safetensors", *common(files / "digits"), *words, "--out", tmp_path / "x"
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (1, 1)
    assert re.search(message, errors[0])
    assert list(tmp_path.iterdir()) == []
