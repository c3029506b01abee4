"""Table 5 and Figure F8 from rows: the statistics, the published numbers, and refusals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from condensery import networks
from condensery.errors import CondenseryError
from condensery.progress import duration
from condensery.reporting import page, search_cells, search_figure, search_table
from condensery.reporting.labels import Labels
from condensery.rows import SEARCH, read_rows, write_rows
from condensery.search import ranking
from tests.test_reporting_tables import TITLES

PUBLISHED = Path(__file__).parents[1] / "config" / "published"
LABELS = Labels("test", "small", TITLES)
NAMES = networks.search_space((32,))[:40]
REPEATS = 3
IPC = {"random": 10, "dm": 10, "early_stopping": 0, "whole": 0}


def row(proxy: str, network: str, repeat: int, **changes: Any) -> dict[str, Any]:
    return {
        "protocol": "test",
        "dataset": "cifar10",
        "proxy": proxy,
        "ipc": IPC[proxy],
        "condense_network": "",
        "set_seed": 0,
        "network": network,
        "recipe": "search",
        "repeat": repeat,
        "network_seed": repeat,
        "images": 10 * IPC[proxy] or 45000,
        "epochs": 200,
        "steps": 402,
        "validation_accuracy": None,
        "test_accuracy": None,
        "train_seconds": 30.0,
        "test_seconds": 1.0,
        "device": "cpu",
        "precision": "fp32",
        "torch": "2.11.0",
        "python": "3.12.1",
        "condensery": "0.1.0",
        "commit": "0" * 40,
    } | changes


@pytest.fixture
def searched() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of a search and of its test; scores are rounded, so that some are equal."""
    rng = np.random.default_rng(0)
    quality = rng.normal(60, 8, len(NAMES))
    rows = [
        row(proxy, name, repeat, validation_accuracy=float(np.round(quality[i] + rng.normal(0, noise))))
        for proxy, noise in {"random": 12, "dm": 4, "early_stopping": 8, "whole": 1}.items()
        for i, name in enumerate(NAMES)
        for repeat in range(REPEATS)
    ]
    tests = [
        row("whole", n, r, test_accuracy=50.0 + i + r) for i, n in enumerate(NAMES) for r in range(REPEATS)
    ]
    return pd.DataFrame(rows), pd.DataFrame(tests)


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_the_statistics_are_those_of_the_rows(searched) -> None:
    rows, tests = searched
    summary = search_cells.summary(rows, tests, PUBLISHED).set_index("proxy")
    assert list(summary.index) == ["random", "dm", "early_stopping", "whole"]
    mean = {
        proxy: {
            name: rows[(rows["proxy"] == proxy) & (rows["network"] == name)]["validation_accuracy"].mean()
            for name in NAMES
        }
        for proxy in summary.index
    }
    for proxy in summary.index:
        line = summary.loc[proxy]
        top = sorted(NAMES, key=lambda name: (-mean[proxy][name], name))[:2]  # 5 % of 40
        for part, names in (("top", top), ("all", NAMES)):
            pairs = [[mean[each][name] for name in names] for each in (proxy, "whole")]
            assert line[f"spearman_{part}"] == pytest.approx(stats.spearmanr(*pairs).statistic, nan_ok=True)
            assert line[f"kendall_{part}"] == pytest.approx(stats.kendalltau(*pairs).statistic, nan_ok=True)
        assert line["chosen"] == top[0]
        assert line["validation_mean"] == pytest.approx(mean[proxy][top[0]])
        assert line["test_mean"] == pytest.approx(51 + NAMES.index(top[0]))
        assert line["test_std"] == pytest.approx(np.std([0, 1, 2]))
        assert line["train_minutes"] == pytest.approx(len(NAMES) * REPEATS / 2)
        assert (line["networks"], line["repeats"], line["top"]) == (40, 3, 2)
    assert summary.loc["whole", ["spearman_all", "kendall_all"]].tolist() == pytest.approx([1, 1])
    assert -1 < summary.loc["random", "spearman_all"] < summary.loc["dm", "spearman_all"] < 1


def test_the_published_numbers_are_beside_cifar10_only(searched) -> None:
    rows, tests = searched
    summary = search_cells.summary(rows, tests, PUBLISHED).set_index("proxy")
    names = ["published_test", "published_spearman", "published_minutes", "published_images"]
    assert summary.loc["dm", names].tolist() == [82.8, 0.76, 142.6, 500]
    assert summary.loc["whole", names].tolist() == [85.9, 1.0, 3580.2, 50000]
    other = search_cells.summary(rows.assign(dataset="digits"), tests, PUBLISHED)
    assert other[names].isna().all(axis=None)


def test_readers_see_the_numbers_with_the_published_beside(searched, tmp_path) -> None:
    cells = search_cells.summary(*searched, PUBLISHED)
    search_table.build("table5", cells, LABELS).write(tmp_path / "table5")
    text = (tmp_path / "table5.md").read_text()
    dm = cells.set_index("proxy").loc["dm"]
    (line,) = [line for line in text.splitlines() if line.startswith("| DM, 10 images/class")]
    entries = [entry.strip() for entry in line.strip("|").split("|")]
    assert entries[1:4] == ["100 [500]", "402", dm["chosen"]]
    assert entries[4] == f"{dm['test_mean']:.1f} ± 0.8 [82.8]"
    # A rank correlation of two networks means nothing; no network was tested.
    assert entries[5] == "\N{EN DASH} [0.76]"
    assert entries[7] == f"\N{EN DASH} ({dm['spearman_all']:.2f})"
    assert entries[9] == "60.0 min [142.6 min]"
    assert "Spearman, top 2" in text
    assert "cifar10: 40 networks, each trained 3 times" in text
    assert f"Trained in {duration(4 * 40 * 3 * 30)} on " in text
    assert "| Early stopping" in text
    latex = (tmp_path / "table5.tex").read_text()
    assert latex.count(r" \\") == 1 + 2 * len(cells)  # the published values are in a second line
    assert r"5 \%" in latex

    again = search_cells.read(tmp_path / "table5.csv")
    assert search_table.build("table5", again, LABELS).markdown == text
    page.build([tmp_path / "table5.csv"], [], LABELS, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    for entry in entries:
        assert f">{entry}<" in html


def test_a_correlation_of_one_network_is_a_dash_and_no_metric(searched) -> None:
    rows, tests = (frame[frame["network"].isin(NAMES[:6])] for frame in searched)
    cells = search_cells.summary(rows, tests, PUBLISHED)
    table = search_table.grid(cells, LABELS)
    for column in (5, 6, 7, 8):
        assert [line[column].split()[0] for line in table.lines] == ["\N{EN DASH}"] * 4
    metrics = search_table.build("table5", cells, LABELS).metrics
    assert set(metrics) == {"cells", "accuracy", "std", "spearman_all", "kendall_all"}
    proxies = cells[cells["proxy"] != "whole"]
    assert metrics["spearman_all"] == pytest.approx(proxies["spearman_all"].mean(), abs=1e-4)


def with_tests(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with test accuracies, whose ranking differs from that of validation."""
    noise = np.random.default_rng(1).normal(0, 6, len(rows))
    return rows.assign(test_accuracy=(rows["validation_accuracy"] - 5 + noise).clip(0, 100))


def test_test_accuracies_are_correlated_over_what_validation_chose(searched) -> None:
    rows = with_tests(searched[0])
    cells = search_cells.summary(rows, searched[1], PUBLISHED).set_index("proxy")
    mean = rows.groupby(["proxy", "network"])[["validation_accuracy", "test_accuracy"]].mean()
    for proxy in cells.index:
        by_validation = mean.loc[proxy, "validation_accuracy"]
        top = sorted(NAMES, key=lambda name: (-by_validation[name], name))[:2]
        for part, names in (("top", top), ("all", NAMES)):
            pairs = [[mean.loc[(each, name), "test_accuracy"] for name in names] for each in (proxy, "whole")]
            for kind, of in (("spearman", stats.spearmanr), ("kendall", stats.kendalltau)):
                expected = of(*pairs).statistic
                assert cells.loc[proxy, f"{kind}_{part}_test"] == pytest.approx(expected, nan_ok=True)
    line = search_table.grid(cells.reset_index(), LABELS).lines[1]
    tested, validated = (cells.loc["dm", f"spearman_all{end}"] for end in ("_test", ""))
    assert line[7] == f"{tested:.2f} ({validated:.2f})"
    assert ranking.test_scores(searched[0]) is None


def test_the_figure_shows_test_accuracies_where_all_are_there(searched) -> None:
    rows = with_tests(searched[0])
    panels = search_figure.build("figure_nas", rows, LABELS).figure.axes
    mean = rows.groupby(["proxy", "network"])["test_accuracy"].mean()
    shown = [point for part in panels[1].collections for point in part.get_offsets().data.tolist()]
    assert sorted(shown) == sorted([mean["dm", name], mean["whole", name]] for name in NAMES)
    assert panels[0].figure.get_supxlabel() == "test accuracy, trained on the proxy (%)"


def without(rows: pd.DataFrame, **which: Any) -> pd.DataFrame:
    return rows[~np.logical_and.reduce([rows[name] == value for name, value in which.items()])]


def test_what_is_missing_is_named(searched) -> None:
    rows, tests = searched
    with pytest.raises(CondenseryError, match="no rows of the whole set"):
        search_cells.summary(without(rows, proxy="whole"), tests, PUBLISHED)
    with pytest.raises(CondenseryError, match=f"{NAMES[3]} has 2 rows of dm"):
        search_cells.summary(without(rows, proxy="dm", network=NAMES[3], repeat=1), tests, PUBLISHED)
    chosen = search_cells.summary(rows, tests, PUBLISHED)["chosen"].iloc[0]
    with pytest.raises(CondenseryError, match=f"no test of {chosen}, which random chose"):
        search_cells.summary(rows, without(tests, network=chosen), PUBLISHED)
    other = rows.assign(dataset=np.where(rows["proxy"] == "dm", "digits", "cifar10"))
    with pytest.raises(CondenseryError, match="cifar10 and digits in one search"):
        search_cells.summary(other, tests, PUBLISHED)
    mixed = rows.assign(steps=np.where(rows["repeat"] == 1, 402, 11))
    with pytest.raises(CondenseryError, match="rows with steps 11 and 402"):
        search_cells.summary(mixed, tests, PUBLISHED)


def test_the_figure_has_every_network_in_every_panel(searched, tmp_path) -> None:
    rows, _ = searched
    drawing = search_figure.build("figure_nas", rows, LABELS)
    mean = rows.groupby(["proxy", "network"])["validation_accuracy"].mean()
    panels = {axes.get_title(): axes for axes in drawing.figure.axes}
    assert list(panels) == ["Random, 10 images/class", "DM, 10 images/class", "Early stopping"]
    for (title, axes), proxy in zip(panels.items(), ["random", "dm", "early_stopping"], strict=True):
        rest, top = (part.get_offsets().data.tolist() for part in axes.collections)
        expected = [[mean[proxy, name], mean["whole", name]] for name in NAMES]
        assert sorted(rest + top) == sorted(expected), title
        assert len(top) == 2
        assert min(x for x, _ in top) >= max(x for x, _ in rest)
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            "others",
            "best 2 by the proxy",
        ]
        # A rank correlation of two networks means nothing; that of all forty is shown.
        (text,) = [text.get_text() for text in axes.texts]
        assert re.fullmatch(r"all 40: \u03c1 = \S+, \u03c4 = \S+", text)
    assert drawing.figure.get_suptitle() == "cifar10, protocol test, n = 40 networks, trained 3 times each"
    drawing.write(tmp_path / "a")
    search_figure.build("figure_nas", rows.sample(frac=1, random_state=1), LABELS).write(tmp_path / "b")
    for kind in ("png", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        caption = image.info["Description"]
    assert "Each of 40 networks is a point" in caption
    spent = duration(rows["train_seconds"].sum() + rows["test_seconds"].sum())
    assert f"480 trainings in {spent} on {rows['device'].iloc[0]}, {rows['precision'].iloc[0]}." in caption


def test_rows_come_back_as_written(tmp_path) -> None:
    rows = [row("dm", NAMES[0], repeat, validation_accuracy=40.0 + repeat) for repeat in range(2)]
    write_rows(rows, tmp_path / "rows.parquet", SEARCH)
    found = read_rows([tmp_path / "rows.parquet"], "test", SEARCH)
    assert found["validation_accuracy"].tolist() == [40, 41]
    assert found["test_accuracy"].isna().all()
    for wrong, message in (
        ({"validation_accuracy": 101.0}, "not a percentage"),
        ({"images": None}, "no value"),
    ):
        with pytest.raises(CondenseryError, match=message):
            write_rows([rows[0] | wrong], tmp_path / "wrong.parquet", SEARCH)
