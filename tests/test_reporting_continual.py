"""Rows, cells, tables and the figure of continual learning."""
# ruff: noqa: RUF001 - tables print the true multiplication sign, minus sign and dash

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from condensery.errors import CondenseryError
from condensery.reporting import continual_cells, continual_figure, continual_table, page, published
from condensery.reporting.labels import Labels
from condensery.rows import IDENTITY, MEMORY, read_rows, write_rows
from tests.test_reporting import PUBLISHED, row
from tests.test_reporting_tables import TITLES, pipe_tables

LABELS = Labels("test", "made by hand", TITLES)
KNOWN = published.continual(PUBLISHED)
ACCURACIES = np.random.default_rng(0).uniform(20, 80, (2, 2, 2, 3))  # method, order, network, step


def step_row(accuracy: float, **changes: Any) -> dict[str, Any]:
    """Return a row: a network after the first of three steps of CIFAR-100."""
    facts = {"dataset": "cifar100", "ipc": 20, "order_seed": 0, "steps": 5, "step": 1, "distillation": False}
    facts |= {"task": "cifar100", "tested": "cifar100", "classes_seen": 20, "images": 400}
    facts |= {"memory_images": 400, "memory_bytes": 4915200, "memory_bytes_8bit": 1228800}
    values = row(accuracy=accuracy) | facts | changes
    del values["set_seed"]
    return values


def class_rows() -> list[dict[str, Any]]:
    """Return rows of two memories, two orders, two networks and the last three of five steps."""
    return [
        step_row(
            ACCURACIES[m, o, k, s],
            method=method,
            order_seed=o,
            network_seed=10 * o + k,
            step=s + 3,
            classes_seen=20 * (s + 3),
        )
        for m, method in enumerate(("dm", "random"))
        for o in range(2)
        for k in range(2)
        for s in range(3)
    ]


def sequence_rows() -> list[dict[str, Any]]:
    """Return rows of one memory in a sequence of two data sets: distilled, not distilled, and joint."""
    common = {"dataset": "svhn+usps", "steps": 2, "ipc": 10, "classes_seen": 10, "method": "dsa"}
    rows = []
    ways = (("dsa", False, 60.0), ("sequence", True, 70.0), ("sequence", False, 40.0))
    for recipe, distillation, old in ways:
        line = common | {"recipe": recipe, "distillation": distillation}
        rows.append(step_row(90.0, **line, step=1, task="svhn", tested="svhn", memory_images=0))
        for tested, accuracy in (("svhn", old), ("usps", 95.0)):
            rows.append(step_row(accuracy, **line, step=2, task="usps", tested=tested, memory_images=100))
    return rows


def cells(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return continual_cells.cells(pd.DataFrame(rows), KNOWN, LABELS)


def test_rows_come_back_as_written(tmp_path: Path) -> None:
    write_rows(class_rows(), tmp_path / "a.parquet", MEMORY)
    back = read_rows([tmp_path / "a.parquet"], "test", MEMORY)
    assert len(back) == 24
    assert set(back.columns) == {*class_rows()[0], *IDENTITY}
    with pytest.raises(CondenseryError, match="also in"):
        write_rows([step_row(1.0), step_row(2.0)], tmp_path / "b.parquet", MEMORY)


def test_a_cell_is_over_all_networks_of_all_orders() -> None:
    frame = cells(class_rows())
    assert frame["method"].tolist() == ["random"] * 3 + ["dm"] * 3  # the order of the papers
    assert frame["step"].tolist() == [3, 4, 5] * 2
    for m, method in enumerate(("dm", "random")):
        for s in range(3):
            (cell,) = frame[(frame["method"] == method) & (frame["step"] == s + 3)].to_dict("records")
            pooled = ACCURACIES[m, :, :, s]
            assert cell["mean"] == pytest.approx(pooled.mean())
            assert cell["std"] == pytest.approx(pooled.std())
            assert cell["std_between_orders"] == pytest.approx(pooled.mean(1).std())
            assert (cell["n"], cell["seconds"]) == ("2x2", 10.0)


def test_published_numbers_stand_at_the_end_of_their_experiment_only() -> None:
    frame = cells(class_rows()).set_index(["method", "step"])
    assert frame.loc[("dm", 5), "published_mean"] == 34.4
    assert frame.loc[("random", 5), "published_mean"] == 24.8
    assert frame.loc[("dm", 5), "difference"] == pytest.approx(ACCURACIES[0, :, :, 2].mean() - 34.4)
    assert frame.drop(index=[("dm", 5), ("random", 5)])["published_mean"].isna().all()
    others = cells([each | {"ipc": 10} for each in class_rows()])
    assert others["published_mean"].isna().all()


def test_each_data_set_of_a_sequence_has_the_same_weight() -> None:
    frame = cells(sequence_rows())
    assert frame["recipe"].tolist() == ["sequence"] * 4 + ["dsa"] * 2
    assert frame["distillation"].tolist() == [True, True, False, False, False, False]
    assert frame["mean"].tolist() == [90.0, (70 + 95) / 2, 90.0, (40 + 95) / 2, 90.0, (60 + 95) / 2]
    once_tested = sequence_rows()[1] | {"network_seed": 9}
    for lacking in ([*sequence_rows(), once_tested], sequence_rows()[:2]):
        with pytest.raises(CondenseryError, match="every data set"):
            cells(lacking)


def test_rows_that_disagree_are_refused() -> None:
    rows = class_rows()
    rows[0]["epochs"] += 1
    with pytest.raises(CondenseryError, match="epochs"):
        cells(rows)


def test_table_has_a_line_a_memory_and_a_column_a_step(tmp_path: Path) -> None:
    table = continual_table.build("continual5", cells(class_rows()), LABELS)
    ((first, second),) = pipe_tables(table.markdown)
    assert first["Memory"] == "Random"
    assert second["Memory"] == "DM"
    assert (
        second["100 classes"] == f"{ACCURACIES[0, :, :, 2].mean():.1f} ± {ACCURACIES[0, :, :, 2].std():.1f}"
    )
    assert second["Published end"] == "34.4"
    assert (second["n"], second["Images"], second["MB (8-bit)"]) == ("2×2", "400", "4.92 (1.23)")
    assert "Protocol test (made by hand)" in table.markdown
    assert table.latex.count(r" \\") == 3
    table.write(tmp_path / "continual5")
    pd.testing.assert_frame_equal(
        continual_cells.read_cells(tmp_path / "continual5.csv"), table.cells, rtol=1e-4, check_dtype=False
    )


def test_sequence_names_its_data_sets_and_what_holds_the_network() -> None:
    ((distilled, plain, joint),) = pipe_tables(
        continual_table.build("dsa_continual", cells(sequence_rows()), LABELS).markdown
    )
    lines = [line["Memory"] for line in (distilled, plain, joint)]
    assert lines == ["DSA, distilled", "DSA", "DSA, joint sets"]
    assert (distilled["svhn"], distilled["+ usps"], plain["+ usps"]) == ("90.0", "82.5", "67.5")
    assert joint["+ usps"] == "77.5"


def test_metrics_sum_up_every_step_of_every_memory() -> None:
    frame = cells(class_rows())
    found = continual_table.build("continual5", frame, LABELS).metrics
    assert found["cells"] == 6  # two methods, three steps
    assert found["accuracy"] == pytest.approx(frame["mean"].mean(), abs=1e-4)
    assert found["difference"] == pytest.approx(frame["difference"].dropna().mean(), abs=1e-4)


def test_curves_are_the_cells(tmp_path: Path) -> None:
    frame = cells(class_rows())
    drawing = continual_figure.draw("continual5", frame, LABELS)
    (axes,) = drawing.figure.axes
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(lines) == {"Random", "DM"}
    assert lines["DM"].get_ydata() == pytest.approx(ACCURACIES[0].mean((0, 1)))
    crosses = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "x"]
    assert sorted(crosses) == [24.8, 34.4]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["60", "80", "100"]
    entries = [text.get_text() for text in axes.get_legend().get_texts()]
    assert entries == ["Random", "DM", "published"]
    title = axes.get_title(loc="left")
    assert title == "cifar100, memory of 20 images/class, protocol test, n = 2\N{MULTIPLICATION SIGN}2"
    for name in ("a", "b"):
        continual_figure.draw("continual5", frame, LABELS).write(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_every_way_to_learn_has_dashes_of_its_own() -> None:
    (axes,) = continual_figure.draw("dsa_continual", cells(sequence_rows()), LABELS).figure.axes
    styles = {line.get_label(): line.get_linestyle() for line in axes.lines}
    assert styles == {"DSA, distilled": "-", "DSA": "--", "DSA, joint sets": ":"}


def test_the_page_has_table_and_figure(tmp_path: Path) -> None:
    frame = cells(class_rows())
    continual_table.build("continual5", frame, LABELS).write(tmp_path / "tables" / "continual5")
    continual_figure.draw("continual5", frame, LABELS).write(tmp_path / "figures" / "continual5")
    out = tmp_path / "report.html"
    page.build([tmp_path / "tables/continual5.csv"], [tmp_path / "figures/continual5.png"], LABELS, out)
    html = out.read_text()
    assert html.count("<h2>Continual learning in 5 steps") == 2
    assert "<td>34.4</td>" in html
    assert html.count('id="') == len({part.split('"')[0] for part in html.split('id="')[1:]}) == 3
    with pytest.raises(CondenseryError, match="made under protocol 'test'"):
        page.build([tmp_path / "tables/continual5.csv"], [], Labels("other"), out)
