"""The map of synthetic images among real ones, and its figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from condensery import methods
from condensery.reporting import tsne
from condensery.reporting import tsne_figure as drawing
from condensery.reporting.labels import Labels
from condensery.training.pretrained import trained_network
from tests import problems
from tests.test_reporting_tables import TITLES

ABOUT = {
    "network": "convnet",
    "seconds": 75.0,
    "dataset": "patterns",
    "device": "cpu (Some Processor, 1 threads)",
    "precision": "fp32",
    "torch": "2.11.0",
    "condensery": "0.1.0",
    "commit": "0123456789abcdef",
}
LABELS = Labels("smoke", "a quick check", TITLES)


def synthetic(data, method, seed=0, ipc=2):
    synthetic = methods.get(method).condense(problems.problem(data, ipc=ipc, seed=seed))
    synthetic.provenance = {"experiment": {"method": method, "ipc": ipc, "seed": seed}}
    return synthetic


@pytest.fixture(scope="module")
def data():
    return problems.real_data(classes=4, per_class=30)


@pytest.fixture(scope="module")
def network(data, tmp_path_factory):
    path = problems.features_file(tmp_path_factory.mktemp("features"), data)
    return trained_network(path, data.info, "convnet-d2-w16")


@pytest.fixture(scope="module")
def sets(data):
    return [synthetic(data, "dm"), synthetic(data, "random", seed=1)]


def mapped(data, sets, network, **changes):
    chosen = {"classes": 3, "count": 20} | changes
    return tsne.embed(data.train, sets, network, device=problems.CPU, **chosen)


@pytest.fixture(scope="module")
def frame(data, sets, network):
    return mapped(data, sets, network)


def test_every_image_has_one_position(data, sets, network, frame):
    assert tuple(frame.columns) == tsne.COLUMNS
    assert np.isfinite(frame[["x", "y"]]).all(axis=None)
    real = frame[frame["method"] == tsne.REAL]
    assert real.groupby("class").size().to_dict() == {0: 20, 1: 20, 2: 20}
    assert not real.duplicated("image").any()
    assert (data.train.labels[real["image"]] == real["class"]).all()
    for each in sets:
        experiment = each.provenance["experiment"]
        own = frame[(frame["method"] == experiment["method"]) & (frame["set_seed"] == experiment["seed"])]
        assert own["image"].tolist() == (each.labels < 3).nonzero().flatten().tolist()
        assert each.labels[own["image"].tolist()].tolist() == own["class"].tolist()
    # A class with fewer images shows all of them; the choice of images does not depend on the sets.
    every = mapped(data, sets[:1], network, classes=4, count=1000)
    assert (every["method"] == tsne.REAL).sum() == len(data.train)
    fewer = mapped(data, sets[:1], network)
    pd.testing.assert_series_equal(fewer["image"][:60], frame["image"][:60])


def test_the_map_is_reproducible(data, sets, network, frame):
    pd.testing.assert_frame_equal(mapped(data, sets, network), frame)


def test_images_lie_among_those_of_their_class(frame):
    # Each class is noise around a pattern of its own, and so are random images of it.
    real, random = (frame[frame["method"] == name] for name in (tsne.REAL, "random"))
    coordinates = real[["x", "y"]].to_numpy()
    for point, c in zip(random[["x", "y"]].to_numpy(), random["class"], strict=True):
        nearest = np.argsort(((coordinates - point) ** 2).sum(1))[:5]
        assert (real["class"].iloc[nearest] == c).sum() >= 4


def test_the_same_image_twice_has_the_same_position(data, network):
    # One fit of two sets with the same images: panels differ because of the sets, not the fit.
    frame = mapped(data, [synthetic(data, "random"), synthetic(data, "random")], network)
    assert len(frame) == 60 + 2 * 6
    first, second = (frame[["x", "y"]][60 + 6 * part : 66 + 6 * part].to_numpy() for part in (0, 1))
    spread = frame[["x", "y"]].to_numpy().std(0)
    assert (np.abs(first - second) < 0.2 * spread).all()


def test_panels_show_their_set_over_the_same_real_images(frame):
    drawn = drawing.draw("figure3", frame, ABOUT, LABELS)
    panels = [axes for axes in drawn.figure.axes if axes.collections]
    # As in the papers: selection methods before condensation methods.
    assert [axes.get_title(loc="left") for axes in panels] == ["Random, 2 images/class", "DM, 2 images/class"]
    real = frame[frame["method"] == tsne.REAL][["x", "y"]]
    for axes, method in zip(panels, ("random", "dm"), strict=True):
        dots, stars = axes.collections
        np.testing.assert_allclose(dots.get_offsets(), real)
        np.testing.assert_allclose(stars.get_offsets(), frame[frame["method"] == method][["x", "y"]])
        # A star has the color of the dots of its class, which the legend names.
        colors = {tuple(color[:3]) for color in stars.get_facecolors()}
        assert colors == {tuple(color[:3]) for color in dots.get_facecolors()}
        assert len(colors) == 3
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in panels}
    assert len(limits) == 1
    (legend,) = drawn.figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["class 0", "class 1", "class 2", "real image", "synthetic image"]
    assert drawn.figure.get_suptitle() == "patterns, protocol smoke, n = 20 real images/class"


def test_files_contain_caption_and_positions(tmp_path: Path, frame):
    drawing.write_coordinates(frame, tmp_path / "figure3")
    drawing.draw("figure3", frame, ABOUT, LABELS).write(tmp_path / "figure3")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "figure3.csv"), frame, atol=1e-4, check_dtype=False)
    assert (tmp_path / "figure3.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "figure3.png") as image:
        caption = image.info["Description"]
    for words in (
        "Protocol smoke (a quick check).",
        "patterns, class 0, class 1, class 2; one map",
        "n: 20 real training images of each class (dots), 12 synthetic images of 2 sets (stars)",
        "Mapped in 1 min 15 s on cpu (Some Processor, 1 threads), fp32.",
        "commit 0123456789ab, PyTorch 2.11.0",
    ):
        assert words in caption
