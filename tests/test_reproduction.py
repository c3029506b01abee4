"""Published numbers beside measured ones: which are found, which are compared, and the verdicts."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
import shutil
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
import yaml

from condensery.experiment import catalog, load_config, target_kinds
from condensery.experiment.comparable import cell_differences, search_differences
from condensery.reporting import (
    layout,
    published,
    reproduction_cells,
    reproduction_figure,
    reproduction_table,
)
from condensery.reporting.labels import Labels
from condensery.rows import SNAPSHOT, write_rows
from tests.pages import ROOT
from tests.test_reporting import row

CONFIG = ROOT / "config"
KNOWN = CONFIG / "published"


config = functools.cache(lambda name: load_config(CONFIG, name))


def wide(**values: Any) -> dict[str, Any]:
    """Return a row of CIFAR-10, random images, 1 per class: published 14.4 +- 2.0 in recipe dc."""
    cell = {"protocol": "few", "dataset": "cifar10", "method": "random", "ipc": 1, "recipe": "dc"}
    return row(**cell | {"images": 10, "epochs": 300} | values)


def verdicts(folder: Path, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Write rows into the results of a protocol; return the comparison with all published numbers."""
    protocols = {line["protocol"] for line in rows}
    for name in protocols:
        write_rows(
            [line for line in rows if line["protocol"] == name], folder / name / "accuracy" / "a.parquet"
        )
    configs = {name: config(name) for name in sorted(protocols)}
    found = {name: reproduction_cells.measured(folder / name, c, KNOWN) for name, c in configs.items()}
    return reproduction_cells.verdicts(published.numbers(KNOWN), found, configs, config("paper"))


def of_random(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the line of random images, 1 per class of CIFAR-10, in DM Table 1."""
    cell = frame[(frame["table"] == "table1") & (frame["dataset"] == "cifar10") & (frame["ipc"] == 1)]
    (line,) = cell[cell["method"] == "random"].to_dict("records")
    return line


def test_numbers_are_those_that_the_files_hold() -> None:
    columns = {
        "accuracy_mean",
        "final_accuracy_mean",
        "selected_network_accuracy",
        "rank_correlation_top5pct",
        "relative_accuracy",
    }
    printed: list[float] = []
    for path in KNOWN.glob("*.csv"):
        if path.stem in ("methods", "table_b3"):  # of other papers than those that are reproduced
            continue
        for line in csv.DictReader(path.open()):
            printed += [float(line[name]) for name in columns & set(line) if line[name]]
    printed.remove(1.0)  # the correlation of the whole set with itself
    assert sorted(published.numbers(KNOWN)["published_mean"]) == sorted(printed)


def test_data_sets_come_in_the_order_of_the_papers() -> None:
    numbers = published.numbers(KNOWN)
    datasets = numbers[numbers["table"] == "table1"]["dataset"]
    assert list(dict.fromkeys(datasets)) == [
        *("mnist", "fashionmnist", "svhn", "cifar10", "cifar100", "tinyimagenet", "imagenet1k"),
    ]


def test_a_relative_accuracy_is_in_percent_of_that_on_the_whole_set(tmp_path: Path) -> None:
    dm = {"method": "dm", "ipc": 100, "recipe": "dsa", "images": 1000, "epochs": 1000}
    whole = {"method": "whole", "ipc": 0, "recipe": "whole", "images": 50000, "epochs": 200}
    rows = [wide(**dm, network_seed=n, accuracy=a) for n, a in enumerate((65.0, 67.0))]
    rows += [wide(**whole, network_seed=n, accuracy=a) for n, a in enumerate((82.0, 83.0))]

    def of_dm() -> dict[str, Any]:
        frame = verdicts(tmp_path, rows)
        shares = frame[frame["quantity"] == "relative accuracy"]
        (line,) = shares[(shares["method"] == "dm") & (shares["ipc"] == 100)].to_dict("records")
        return line

    line = of_dm()
    assert (line["published"], line["measured"]) == (79.0, pytest.approx(100 * 66 / 82.5))
    # The relative deviations of both accuracies, of two networks each, combined.
    relative = math.hypot(math.sqrt(2) / 66, math.sqrt(0.5) / 82.5)
    assert line["spread"] == pytest.approx(line["measured"] * relative)
    assert line["verdict"] == "within"
    rows = [row | {"protocol": "laptop", "epochs": 1} for row in rows]
    shutil.rmtree(tmp_path / "few")
    assert "whole set's epochs 1, not 200" in of_dm()["reason"]


# Published is 14.4 +- 2.0; the sets' means are 16 and 17, with a deviation of the square root of 0.5.
AWAY = math.hypot(2.0, math.sqrt(0.5)) * 2


@pytest.mark.parametrize(("shift", "verdict"), [(-0.01, "within"), (0.01, "outside")])
@pytest.mark.parametrize("side", [1, -1])
def test_a_verdict_is_by_two_combined_deviations(
    tmp_path: Path, shift: float, verdict: str, side: int
) -> None:
    mean = 14.4 + side * (AWAY + shift)
    offsets = {(0, 0): -0.6, (0, 1): -0.4, (1, 2): 0.4, (1, 3): 0.6}
    rows = [wide(set_seed=s, network_seed=n, accuracy=mean + offset) for (s, n), offset in offsets.items()]
    line = of_random(verdicts(tmp_path, rows))
    assert line["measured"] == pytest.approx(mean)
    assert (line["spread"], line["spread_of"]) == (pytest.approx(math.sqrt(0.5)), "sets")
    assert (line["sets"], line["networks"], line["protocol"]) == (2, 4, "few")
    assert (line["verdict"], line["reason"]) == (verdict, "")


def test_the_spread_of_one_set_is_that_of_its_networks(tmp_path: Path) -> None:
    values = [15.0, 16.5, 17.0]
    line = of_random(verdicts(tmp_path, [wide(network_seed=n, accuracy=v) for n, v in enumerate(values)]))
    assert (line["spread"], line["spread_of"]) == (pytest.approx(statistics.stdev(values)), "networks")


def test_a_shortened_protocol_is_not_compared_and_says_why(tmp_path: Path) -> None:
    line = of_random(verdicts(tmp_path, [wide(protocol="laptop", epochs=50, accuracy=14.4)]))
    assert (line["measured"], line["verdict"]) == (14.4, "not comparable")
    assert line["reason"] == "epochs 50, not 300"


def test_a_shortened_search_says_its_own_value_and_then_that_of_the_papers() -> None:
    reasons = search_differences(config("laptop"), config("paper"))
    assert {"ipc 20, not 50", "networks 60, not 720", "training_images 2000, not None"} <= set(reasons)
    assert not any(reason.startswith(("proxies", "networks_per_job")) for reason in reasons)
    assert search_differences(config("paper"), config("paper")) == []


def test_a_comparable_number_is_taken_before_one_that_is_not(tmp_path: Path) -> None:
    rows = [wide(protocol="laptop", epochs=50, network_seed=n, accuracy=20.0) for n in range(9)]
    line = of_random(verdicts(tmp_path, [*rows, wide(accuracy=15.0)]))
    assert (line["protocol"], line["measured"], line["verdict"]) == ("few", 15.0, "within")


def snapshots(folder: Path, steps: tuple[int, ...]) -> None:
    """Write the rows of a curve of DM, CIFAR-10, 10 per class, under few; the last mean is 39.5."""
    cell = {"method": "dm", "ipc": 10, "images": 100, "epochs": 1000, "recipe": "dsa"}
    time = {"condense_seconds": 1.0, "condense_device": "cpu"}
    rows = [
        wide(**cell, **time, step=step, network_seed=n, accuracy=39.0 + n - (step != steps[-1]))
        for step in steps
        for n in range(2)
    ]
    write_rows(rows, folder / "few" / "trajectory_accuracy" / "a.parquet", SNAPSHOT)


def of_dm(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the line of DM, 10 per class of CIFAR-10, in DM Table 1."""
    cell = frame[(frame["table"] == "table1") & (frame["dataset"] == "cifar10") & (frame["ipc"] == 10)]
    (line,) = cell[cell["method"] == "dm"].to_dict("records")
    return line


@pytest.mark.parametrize(
    ("steps", "reason"), [((500, 2000), "iterations 2000, not 20000"), ((500, 20000), "")]
)
def test_a_curve_counts_with_the_iterations_of_its_last_snapshot(
    tmp_path: Path, steps: tuple[int, ...], reason: str
) -> None:
    snapshots(tmp_path, steps)
    line = of_dm(verdicts(tmp_path, [wide(accuracy=15.0)]))
    assert (line["measured"], line["networks"], line["protocol"]) == (39.5, 2, "few")
    assert line["reason"] == reason
    assert line["verdict"] == ("not comparable" if reason else "outside")  # published is 48.9 +- 0.6


def test_fewer_differences_come_before_more_networks(tmp_path: Path) -> None:
    snapshots(tmp_path, (500, 2000))
    cell = {"method": "dm", "ipc": 10, "images": 100, "recipe": "dsa", "protocol": "laptop", "epochs": 300}
    rows = [wide(**cell, network_seed=n, accuracy=30.0) for n in range(9)]
    assert of_dm(verdicts(tmp_path, [*rows, wide(accuracy=15.0)]))["protocol"] == "few"


def test_rows_of_other_epochs_than_the_protocol_has_now_are_not_compared(tmp_path: Path) -> None:
    line = of_random(verdicts(tmp_path, [wide(epochs=50, accuracy=14.4)]))
    assert (line["verdict"], line["reason"]) == ("not comparable", "epochs 50, not 300")


def test_the_recipe_is_that_of_the_paper(tmp_path: Path) -> None:
    line = of_random(verdicts(tmp_path, [wide(recipe="dsa", epochs=1000, accuracy=14.4)]))
    assert (line["verdict"], line["protocol"]) == ("not measured", "")


def test_what_nobody_measured_has_no_number(tmp_path: Path) -> None:
    frame = verdicts(tmp_path, [wide(accuracy=15.0)])
    others = frame[frame["method"] == "dm"]
    assert set(others["verdict"]) == {"not measured"}
    assert others["measured"].isna().all()
    assert sum(reproduction_cells.counts(frame).values()) == len(frame)


def test_the_page_and_the_figure_count_every_number(tmp_path: Path) -> None:
    rows = [wide(network_seed=n, accuracy=15.0 + n) for n in range(2)]
    rows += [wide(protocol="laptop", epochs=50, method="herding", accuracy=20.0)]
    frame = verdicts(tmp_path, rows)
    labels = Labels.of(config("paper"))
    drawing = reproduction_figure.draw(frame, labels)
    tiles = [patch for axes in drawing.figure.axes for patch in axes.patches]
    assert len(tiles) == len(frame)
    text = reproduction_table.page(frame, labels, "figure.png")
    assert "2 of 222 published numbers" in text
    assert f"| Random | convnet | dc     | 14.4 ± 2.0 | 15.5 ± 0.7 | 1{layout.TIMES}2 " in text
    assert "epochs 50, not 300" in text


def test_readme_shows_the_compared_numbers_that_are_committed() -> None:
    texts = dict.fromkeys(("condense_network", "network", "recipe", "protocol", "precision", "reason"), str)
    frame = pd.read_csv(ROOT / "results" / "reproduction.csv", dtype=texts).fillna(dict.fromkeys(texts, ""))
    shown = reproduction_table.summary(frame, Labels.of(config("paper")))
    assert f"\n{shown}\n" in (ROOT / "README.md").read_text()
    assert max(len(line) for line in shown.splitlines() if line.startswith("|")) <= 120


def test_the_small_table_has_each_number_once_and_marks_what_is_outside(tmp_path: Path) -> None:
    rows = [wide(network_seed=n, accuracy=a) for n, a in enumerate((14.0, 15.0))]
    rows += [wide(ipc=10, images=100, network_seed=n, accuracy=a) for n, a in enumerate((60.0, 61.0, 62.0))]
    frame = verdicts(tmp_path, rows)
    assert len(frame[frame["verdict"] == "within"]) == 2  # tables 1 and T6 print the same number
    counts, table, note = reproduction_table.summary(frame, Labels.of(config("paper"))).split("\n\n")
    assert counts == reproduction_cells.sentence(frame)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert cells[0] == ["Data set", "Method", "1 per class", "10 per class"]
    assert cells[2:] == [["CIFAR-10", "Random", "14.4±2.0 / 14.5±0.7", "26.0±1.2 / 61.0±1.0 ✗"]]
    assert f"{reproduction_table.OFF} is outside" in note
    assert note.endswith(f"on each: 1{layout.TIMES}2 or 1{layout.TIMES}3.")
    # A different number for the same cell in a second table has its own line.
    second = (frame["table"] == "table6") & (frame["method"] == "random") & (frame["ipc"] == 1)
    frame.loc[second, "published"] = 15.0
    text = reproduction_table.summary(frame, Labels.of(config("paper")))
    assert "| Random (DM Table T6) | 15.0±2.0 / " in text


def test_the_small_table_is_absent_where_nothing_is_compared(tmp_path: Path) -> None:
    frame = verdicts(tmp_path, [wide(protocol="laptop", epochs=50)])
    assert reproduction_table.summary(frame, Labels.of(config("paper"))) == reproduction_cells.sentence(frame)


OF_DM = {
    **{"dataset": "cifar10", "method": "dm", "ipc": 10, "recipe": "dsa"},
    **{"condense_network": "", "evaluate_network": "convnet"},
}
"""DM, 10 images per class of CIFAR-10."""


@pytest.mark.parametrize(
    ("kind", "name", "parameter", "differs"),
    [
        ("methods", "dm", "iterations", True),
        ("methods", "dm", "batch_real", True),
        ("recipes", "dsa", "epochs", True),
        ("recipes", "features", "epochs", False),
        ("methods", "dsa", "iterations", False),
    ],
)
def test_a_value_that_the_paper_states_decides(
    tmp_path: Path, kind: str, name: str, parameter: str, differs: bool
) -> None:
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder)
    file = folder / "protocols" / "few.yaml"
    spec = yaml.safe_load(file.read_text())
    spec.setdefault(kind, {})[name] = {"parameters": {parameter: 30_000}}
    file.write_text(yaml.safe_dump(spec))
    found = cell_differences(load_config(folder, "few"), load_config(folder, "paper"), OF_DM)
    assert [text.split()[:2] for text in found] == ([[parameter, "30000,"]] if differs else [])


def test_a_value_of_the_recipe_counts_beside_one_of_the_method_with_its_name() -> None:
    few = config("few")
    recipes = {**few.recipes, "dsa": {**few.recipes["dsa"]}}
    recipes["dsa"]["parameters"] = {**recipes["dsa"]["parameters"], "momentum": 0.5}  # DM has 0.5 too
    changed = dataclasses.replace(few, recipes=recipes)
    assert cell_differences(changed, config("paper"), OF_DM) == ["recipe's momentum 0.5, not 0.9"]


def test_names_of_users_are_no_formulas(tmp_path: Path) -> None:
    labels = dataclasses.replace(Labels.of(config("paper")), titles={"random": "$a_b$ and $"})
    drawing = reproduction_figure.draw(verdicts(tmp_path, [wide(accuracy=15.0)]), labels)
    drawing.write(tmp_path / "figure")  # an unpaired $ in a formula is an error
    texts = drawing.figure.findobj(mpl.text.Text)
    assert "$a_b$ and $" in [text.get_text() for text in texts]
    assert not any(text.get_parse_math() for text in texts)


def test_a_table_with_a_file_of_published_numbers_is_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "published"
    shutil.copytree(KNOWN, known)
    head = "dataset,ipc,method,accuracy_mean,accuracy_std,source\n"
    (known / "mine.csv").write_text(f"{head}cifar10,10,dm,12.5,,A page\n")
    monkeypatch.setitem(
        catalog.TARGETS, "mine", target_kinds.Accuracies("Numbers of a page", published="mine")
    )
    numbers = published.numbers(known)
    assert numbers[numbers["table"] == "mine"]["published_mean"].tolist() == [12.5]
    frame = reproduction_cells.verdicts(numbers, {}, {}, config("paper"))
    figure = reproduction_figure.draw(frame, Labels.of(config("paper"))).figure
    assert "Numbers of a page" in [axes.get_title(loc="left") for axes in figure.axes]
