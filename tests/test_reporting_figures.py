"""The figure of synthetic images and the report page."""
# ruff: noqa: RUF001 - tables print the true multiplication sign, minus sign and dash

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from condensery.errors import CondenseryError
from condensery.reporting import images_figure, page, tables
from condensery.reporting.labels import Labels
from condensery.synthetic import SyntheticSet
from tests.test_reporting import PUBLISHED, row
from tests.test_reporting_tables import TITLES, rows, run_script

LABELS = Labels("smoke", "a <quick> check & more", TITLES)


def synthetic(
    classes: int = 3, ipc: int = 2, side: int = 8, channels: int = 3, **changes: Any
) -> SyntheticSet:
    """Return a set of images of one color each, most of them outside the display range."""
    count = classes * ipc
    shade = torch.linspace(-3, 3, count).reshape(-1, 1, 1, 1)
    experiment = {
        "protocol": "smoke",
        "dataset": "toy",
        "method": "dm",
        "network": "convnet",
        "ipc": ipc,
        "seed": 0,
    }
    return SyntheticSet(
        shade.expand(count, channels, side, side).contiguous(),
        torch.arange(classes).repeat_interleave(ipc),
        tuple(f"kind {c}" for c in range(classes)),
        (0.5,) * channels,
        (0.25,) * channels,
        {"experiment": experiment | changes, "precision": "fp32", "versions": {"torch": "2.11.0"}},
    )


def drawn_axes(sets: list[SyntheticSet]) -> list[Any]:
    """Return the panels of figure 2."""
    return images_figure.build("figure2", sets, LABELS).figure.axes


def test_panel_shows_every_image_clipped_at_its_position() -> None:
    original = synthetic()
    # The order within the file must not matter: each line shows one class.
    shuffled = torch.tensor([2, 0, 4, 1, 3, 5])
    moved = SyntheticSet(
        original.images[shuffled],
        original.labels[shuffled],
        original.classes,
        original.mean,
        original.std,
        original.provenance,
    )
    (axes,) = drawn_axes([moved])
    shown = np.asarray(axes.images[0].get_array())
    assert shown.min() == 0.0
    assert shown.max() == 1.0
    assert axes.images[0].get_interpolation() == "nearest"
    # Without normalization, x * 0.25 + 0.5; lines are classes, in the order of the set.
    shades = np.clip(np.linspace(-3, 3, 6) * 0.25 + 0.5, 0, 1)
    wanted = [[shades[0], shades[1]], [shades[2], shades[3]], [shades[4], shades[5]]]
    centers = axes.get_yticks()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["kind 0", "kind 1", "kind 2"]
    width = shown.shape[1]
    for y, line in zip(centers, wanted, strict=True):
        seen = [shown[round(y), round(width * x), 0] for x in (0.25, 0.75)]
        assert seen == pytest.approx(line, abs=1e-6)


def test_gray_images_stay_gray_and_colors_keep_their_order() -> None:
    (axes,) = drawn_axes([synthetic(channels=1)])
    shown = np.asarray(axes.images[0].get_array())
    assert shown.shape[2] == 3
    assert (shown[..., :1] == shown).all()
    extreme = synthetic(1, 1)
    extreme.images[:, 0], extreme.images[:, 1], extreme.images[:, 2] = 2.0, 0.0, -2.0
    (axes,) = drawn_axes([extreme])
    assert np.asarray(axes.images[0].get_array())[0, 0].tolist() == [1.0, 0.5, 0.0]


def test_title_says_what_the_panel_is_and_what_it_leaves_out() -> None:
    full, large = drawn_axes([synthetic(seed=4), synthetic(25, 12, dataset="large")])
    texts = [axes.get_title(loc="left") + axes.texts[0].get_text() for axes in (full, large)]
    assert texts[0] == "toy, DM, 2 images/class\nprotocol smoke, convnet, seed 4"
    assert texts[1].endswith("seed 0, classes 1 to 10 of 25, images 1 to 10 of 12")
    assert len(large.get_yticks()) == 10


def test_every_image_pixel_covers_whole_device_pixels() -> None:
    for side in (8, 28, 32, 64):
        drawing = images_figure.build("figure2", [synthetic(side=side)], LABELS)
        (axes,) = drawing.figure.axes
        pixels = axes.get_window_extent()
        down, across = axes.images[0].get_array().shape[:2]
        for size, count in ((pixels.height, down), (pixels.width, across)):
            assert size / count == pytest.approx(round(size / count), abs=1e-6)


def test_equal_sets_give_equal_files_that_carry_their_caption(tmp_path: Path) -> None:
    for name in ("a", "b"):
        images_figure.build("figure2", [synthetic(), synthetic(channels=1)], LABELS).write(tmp_path / name)
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "a.png") as image:
        caption = image.info["Description"]
    assert caption.startswith("Protocol smoke (a <quick> check & more). n: 2 synthetic sets")
    assert "PyTorch 2.11.0" in caption


def test_a_large_figure_stays_below_two_megabytes(tmp_path: Path) -> None:
    large = synthetic(10, 10, side=32)
    noise = torch.randn(large.images.shape, generator=torch.Generator().manual_seed(0))
    large.images.copy_(noise)
    images_figure.build("figure2", [large] * 3, LABELS).write(tmp_path / "figure2")
    assert (tmp_path / "figure2.png").stat().st_size < 2_000_000


def test_the_figure_of_distributions_has_a_panel_a_group_in_the_order_of_its_sets() -> None:
    methods = ["dm", "dm-pool-10-20", "dm-pool-70-100", "dm-pool"]
    drawing = images_figure.build(
        "figure_distributions", [synthetic(method=name) for name in methods], LABELS
    )
    assert "F9" in drawing.title
    titles = [axes.get_title(loc="left").strip() for axes in drawing.figure.axes]
    groups = ("DM", "DM, 10-20 %", "DM, 70-100 %", "DM, all")
    assert titles == [f"toy, {group}, 2 images/class" for group in groups]
    boxes = [axes.get_position() for axes in drawing.figure.axes]
    # Line by line, from left to right.
    assert [(-box.y1, box.x0) for box in boxes] == sorted((-box.y1, box.x0) for box in boxes)
    for axes in drawing.figure.axes:
        shown = np.asarray(axes.images[0].get_array())
        assert (shown.min(), shown.max()) == (0.0, 1.0)  # although half of the images lie outside


def test_sets_that_do_not_belong_are_refused() -> None:
    with pytest.raises(CondenseryError, match=r"protocol 'paper', not 'smoke'"):
        images_figure.build("figure2", [synthetic(), synthetic(protocol="paper")], LABELS)
    imported = synthetic()
    imported.provenance = {"imported": {"format": "npz"}}
    with pytest.raises(CondenseryError, match=r"lacks protocol, dataset, method"):
        images_figure.build("figure2", [imported], LABELS)
    with pytest.raises(CondenseryError, match=r"no synthetic sets"):
        images_figure.build("figure2", [], LABELS)
    with pytest.raises(CondenseryError, match=r"'figure0' is unknown"):
        images_figure.build("figure0", [synthetic()], LABELS)


class _Page(HTMLParser):
    """Collects the references of a page, and checks that its elements are nested."""

    VOID = ("meta", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.anchors: list[str] = []
        self.ids: list[str] = []
        self.lines: list[list[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert tag not in ("script", "link", "iframe", "object")
        self.sources += [values["src"]] if "src" in values else []
        self.anchors += [values["href"]] if "href" in values else []
        self.ids += [values["id"]] if "id" in values else []
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.lines.append([])
        elif tag in ("td", "th"):
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.lines[-1][-1] += f"{data} "


@pytest.fixture
def report(tmp_path: Path) -> tuple[str, Path]:
    """Return a page of one table and one figure, and the folder of its inputs."""
    frame = pd.DataFrame(rows()).assign(protocol="smoke")
    tables.build("table1", frame, PUBLISHED, LABELS).write(tmp_path / "table1")
    images_figure.build("figure2", [synthetic()], LABELS).write(tmp_path / "figure2")
    page.build([tmp_path / "table1.csv"], [tmp_path / "figure2.png"], LABELS, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8"), tmp_path


def test_page_holds_all_that_it_shows(report: tuple[str, Path]) -> None:
    html, folder = report
    seen = _Page(html)
    assert seen.open == []
    files = [f"table1.{suffix}" for suffix in ("csv", "tex", "md", "json")] + ["figure2.png", "figure2.pdf"]
    assert seen.anchors == ["#table1", "#table1", "#figure2", *files]  # overview, contents, files
    assert all((folder / name).is_file() for name in files)
    assert seen.ids == ["overview", "table1", "figure2"]
    (source,) = seen.sources
    head, data = source.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == (folder / "figure2.png").read_bytes()
    Image.open(io.BytesIO(base64.b64decode(data))).verify()
    assert not re.search(r"https?:|url\(|@import", html)
    assert str(folder) not in html


def test_page_shows_measured_and_published_and_escapes(report: tuple[str, Path]) -> None:
    html, _ = report
    lines = [[" ".join(entry.split()) for entry in line] for line in _Page(html).lines]
    matrix = [entry for line in lines for entry in line if entry.startswith("48.5") and "n=" in entry]
    assert matrix == ["48.5 ± 1.1 n=2×2 [48.9 ± 0.6]"]
    (dm,) = [line for line in lines if line[0] == "DM"]
    assert dm[1:4] == ["10", "dsa", "convnet"]
    assert dm[4:10] == ["48.5 ± 1.1", "2×2", "0.5", "1.0", "48.9 ± 0.6", "−0.4"]
    assert "a &lt;quick&gt; check &amp; more" in html
    assert "<quick>" not in html
    assert "11 networks, trained and tested in 28 s on cpu, fp32." in html


def test_page_has_the_lines_and_columns_of_each_table(tmp_path: Path) -> None:
    crossed = [
        row(protocol="smoke", condense_network="mlp", evaluate_network=name, accuracy=accuracy)
        for name, accuracy in (("mlp", 60.0), ("lenet", 61.0))
    ]
    whole = {"method": "whole", "ipc": 0, "condense_network": "", "recipe": "whole", "images": 50000}
    larger = [row(protocol="smoke", accuracy=62.0), row(protocol="smoke", accuracy=80.0, **whole)]
    csvs = []
    for name, measured in (("dsa_cross_architecture", crossed), ("larger_sets", larger)):
        tables.build(name, pd.DataFrame(measured), PUBLISHED, LABELS).write(tmp_path / name)
        csvs.append(tmp_path / f"{name}.csv")
    page.build(csvs, [], LABELS, tmp_path / "report.html")
    seen = _Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    lines = [[" ".join(entry.split()) for entry in line] for line in seen.lines]
    assert seen.ids == ["overview", "dsa_cross_architecture", "larger_sets"]
    head = lines.index(["Data set Images/class, Method, Condensed on", "mlp", "lenet"])
    assert lines[head + 1] == ["cifar10 10, DM, mlp", "60.0", "61.0"]
    assert ["cifar10 10, dsa", "62.0 77.5 % [48.9 ± 0.6]", ""] in lines


def test_overview_says_how_far_the_measured_numbers_are(tmp_path: Path) -> None:
    measured = [row(protocol="smoke", accuracy=46.9), row(protocol="smoke", method="dsa", accuracy=52.6)]
    measured.append(row(protocol="smoke", method="mine", accuracy=10.0))
    for name in ("table1", "dsa_siamese"):
        tables.build(name, pd.DataFrame(measured), PUBLISHED, LABELS).write(tmp_path / name)
    csvs = [tmp_path / "table1.csv", tmp_path / "dsa_siamese.csv"]
    page.build(csvs, [], LABELS, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    lines = [[" ".join(entry.split()) for entry in line] for line in _Page(html).lines]
    # The measured numbers are 2.0 below the published 48.9 and 0.5 above the published 52.1.
    assert lines[1][1:] == ["3", "2", "1.2", "−2.0, cifar10, DM, 10/class, dsa, convnet"]
    dots = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', html)
    assert sorted(dots) == [("48.90", "53.10"), ("52.10", "47.40")]  # though in two tables


def test_overview_says_that_nothing_was_published(tmp_path: Path) -> None:
    measured = pd.DataFrame([row(protocol="smoke", dataset="digits", ipc=1, images=10)])
    tables.build("table1", measured, PUBLISHED, LABELS).write(tmp_path / "table1")
    page.build([tmp_path / "table1.csv"], [], LABELS, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No measured cell has a published number." in html
    assert "<svg" not in html
    assert [" ".join(entry.split()) for entry in _Page(html).lines[1]][1:] == ["1", "0", "–", "–"]


def test_page_links_what_lies_beside_it(tmp_path: Path) -> None:
    whole = {"method": "whole", "ipc": 0, "condense_network": "", "recipe": "whole"}
    measured = [row(protocol="smoke", method="a b"), row(protocol="smoke", **whole)]
    table = tables.build("larger_sets", pd.DataFrame(measured), PUBLISHED, LABELS)
    table.write(tmp_path / "tables" / "larger_sets")
    outputs = ["synthetic/cifar10/a b/convnet/ipc10", "accuracy/cifar10/whole/whole-convnet"]
    for folder in (*outputs, "logs/tables"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "logs/tables/larger_sets.log").touch()
    page.build([tmp_path / "tables/larger_sets.csv"], [], LABELS, tmp_path / "report.html")
    seen = _Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    files = {name for name in seen.anchors if not name.startswith(("#", "tables/"))}
    outputs[0] = "synthetic/cifar10/a%20b/convnet/ipc10"
    assert files == {*outputs, "logs/tables/larger_sets.log", "synthetic", "accuracy", "logs"}
    assert "tables/larger_sets.csv" in seen.anchors


def test_page_refuses_what_is_not_ours(report: tuple[str, Path]) -> None:
    _, folder = report
    out = folder / "other.html"
    with pytest.raises(CondenseryError, match=r"made under protocol 'smoke', not 'paper'"):
        page.build([folder / "table1.csv"], [], Labels("paper"), out)
    with pytest.raises(CondenseryError, match=r"nothing to report"):
        page.build([], [], LABELS, out)
    (folder / "table0.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CondenseryError, match=r"'table0' is unknown"):
        page.build([folder / "table0.csv"], [], LABELS, out)
    (folder / "table1.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CondenseryError, match=r"not the columns of a table"):
        page.build([folder / "table1.csv"], [], LABELS, out)
    Image.new("RGB", (4, 4)).save(folder / "plain.png")
    with pytest.raises(CondenseryError, match=r"no title and caption"):
        page.build([], [folder / "plain.png"], LABELS, out)
    with pytest.raises(CondenseryError, match=r"not a figure"):
        page.build([], [folder / "gone.png"], LABELS, out)
    assert not out.exists()


def test_caption_says_where_networks_were_trained_on_the_sets() -> None:
    times = [(70.0, 5.0, "cpu (A)"), (60.0, 5.0, "cpu (B)"), (65.0, 5.0, "cpu (A)")]
    measured = pd.DataFrame([row(train_seconds=a, test_seconds=b, device=d) for a, b, d in times])
    caption = images_figure.build("figure2", [synthetic()], LABELS, measured).caption
    precision = measured["precision"].iloc[0]
    ending = f"3 networks were trained on them and tested in 3 min 30 s on cpu (A) + cpu (B), {precision}."
    assert caption.endswith(ending)


def test_scripts_draw_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic().save(tmp_path / "set.safetensors")
    figure = [
        "--figure",
        "figure2",
        "--out-prefix",
        tmp_path / "figure2",
        "--sets",
        tmp_path / "set.safetensors",
    ]
    assert run_script(monkeypatch, capsys, "figure", "--protocol", "paper", *figure) == (
        1,
        f"error: {tmp_path}/set.safetensors: made under protocol 'smoke', not 'paper'; "
        "give sets of one protocol\n",
    )
    assert not list(tmp_path.glob("figure2*"))
    assert run_script(monkeypatch, capsys, "figure", "--protocol", "smoke", *figure) == (0, "")
    out = tmp_path / "report.html"
    assert run_script(
        monkeypatch,
        capsys,
        "report",
        "--protocol",
        "smoke",
        "--figures",
        tmp_path / "figure2.png",
        "--out",
        out,
    ) == (0, "")
    assert "lowered for a quick check" in out.read_text(encoding="utf-8")
