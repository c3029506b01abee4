"""Result rows, and the cells computed from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.reporting import published
from condensery.reporting.cells import cells
from condensery.rows import IDENTITY, SCHEMA, read_rows, row_files, write_rows

PUBLISHED = Path(__file__).parents[1] / "config" / "published"


def row(set_seed: int = 0, network_seed: int = 0, accuracy: float = 50.0, **changes: Any) -> dict[str, Any]:
    """Return a result row: DM on CIFAR-10, 10 images per class."""
    return {
        "protocol": "test",
        "dataset": "cifar10",
        "method": "dm",
        "ipc": 10,
        "condense_network": "convnet",
        "evaluate_network": "convnet",
        "recipe": "dsa",
        "set_seed": set_seed,
        "network_seed": network_seed,
        "images": 100,
        "epochs": 30,
        "accuracy": accuracy,
        "train_seconds": 2.0,
        "test_seconds": 0.5,
        "device": "cpu",
        "precision": "fp32",
        "torch": "2.11.0",
        "python": "3.12.1",
        "condensery": "0.1.0",
        "commit": "0" * 40,
    } | changes


def table(by_set: Sequence[Sequence[float]], **changes: Any) -> list[dict[str, Any]]:
    """Return the rows of one cell from the accuracies of each set."""
    return [
        row(s, 100 * s + k, accuracy, **changes)
        for s, accuracies in enumerate(by_set)
        for k, accuracy in enumerate(accuracies)
    ]


def one_cell(rows: list[dict[str, Any]]) -> pd.Series:
    """Aggregate rows of one cell."""
    frame = cells(pd.DataFrame(rows), published.table("table1", PUBLISHED))
    assert len(frame) == 1
    return frame.iloc[0]


def test_rows_come_back_as_written_in_one_order(tmp_path: Path) -> None:
    write_rows([row(1, 7, 41.25), row(1, 6, 40.0)], tmp_path / "b.parquet")
    write_rows([dict(reversed(row(0, 3, 39.5).items()))], tmp_path / "below" / "a.parquet")
    (tmp_path / ".partial-1-c.parquet").write_text("not finished")
    files = row_files([tmp_path])
    assert {file.name for file in files} == {"a.parquet", "b.parquet"}
    rows = read_rows(files, "test")
    assert list(rows.columns) == [*row(), *IDENTITY]
    unknown = dict.fromkeys(IDENTITY, "")
    expected = [row(0, 3, 39.5, **unknown), row(1, 6, 40.0, **unknown), row(1, 7, 41.25, **unknown)]
    assert rows.to_dict("records") == expected
    pd.testing.assert_frame_equal(rows, read_rows(reversed(files), "test"))


def test_row_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(CondenseryError, match=r"no rows"):
        write_rows([], tmp_path / "a.parquet")
    with pytest.raises(CondenseryError, match=r"lacks commit"):
        write_rows([{k: v for k, v in row().items() if k != "commit"}], tmp_path / "a.parquet")
    with pytest.raises(CondenseryError, match=r"unknown color"):
        write_rows([row(color="red")], tmp_path / "a.parquet")
    with pytest.raises(CondenseryError, match=r"wrong type"):
        write_rows([row(epochs="many")], tmp_path / "a.parquet")
    with pytest.raises(CondenseryError, match=r"no value for device"):
        write_rows([row(device=None)], tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_time_is_a_number(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(CondenseryError, match=r"train_seconds .* is not a time"):
        write_rows([row(train_seconds=seconds)], tmp_path / "rows.parquet")


@pytest.mark.parametrize("accuracy", [-0.1, 100.1, math.nan])
def test_accuracy_must_be_a_percentage(tmp_path: Path, accuracy: float) -> None:
    with pytest.raises(CondenseryError, match=r"not a percentage"):
        write_rows([row(accuracy=accuracy)], tmp_path / "a.parquet")
    # A file of another program is checked on reading.
    pq.write_table(pa.Table.from_pylist([row(accuracy=accuracy)], schema=SCHEMA), tmp_path / "b.parquet")
    with pytest.raises(CondenseryError, match=r"b\.parquet: accuracy"):
        read_rows([tmp_path / "b.parquet"], "test")


def test_the_same_row_twice_is_refused_and_both_files_are_named(tmp_path: Path) -> None:
    write_rows([row(0, 1), row(0, 2)], tmp_path / "a.parquet")
    write_rows([row(0, 2, 60.0)], tmp_path / "b.parquet")
    with pytest.raises(CondenseryError, match=r"b\.parquet.*network_seed 2 is also in .*a\.parquet"):
        read_rows([tmp_path / "a.parquet", tmp_path / "b.parquet"], "test")


def test_rows_of_another_protocol_are_refused(tmp_path: Path) -> None:
    write_rows([row()], tmp_path / "a.parquet")
    write_rows([row(0, 1, protocol="other")], tmp_path / "b.parquet")
    with pytest.raises(CondenseryError, match=r"b\.parquet: holds rows of protocol 'other', not 'test'"):
        read_rows([tmp_path / "a.parquet", tmp_path / "b.parquet"], "test")


def test_no_rows_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CondenseryError, match=r"no result rows"):
        read_rows([], "test")
    with pytest.raises(CondenseryError, match=r"gone\.parquet: no such row file"):
        row_files([tmp_path / "gone.parquet"])
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CondenseryError, match=r"not a complete Parquet file"):
        read_rows([tmp_path / "a.parquet"], "test")
    half = SCHEMA.set(SCHEMA.get_field_index("epochs"), pa.field("epochs", pa.float64()))
    pq.write_table(pa.Table.from_pylist([row(epochs=1.5)], schema=half), tmp_path / "b.parquet")
    with pytest.raises(CondenseryError, match=r"column 'epochs' holds double, not int64"):
        read_rows([tmp_path / "b.parquet"], "test")


def test_cell_equals_the_numbers_computed_by_hand() -> None:
    cell = one_cell(table([[48.0, 50.0], [51.0, 55.0]]))
    # Pooled mean 51, squared deviations 9, 1, 0, 16; set means 49 and 53; variances in the sets 1 and 4.
    assert cell["mean"] == pytest.approx(51.0)
    assert cell["std"] == pytest.approx(math.sqrt(26 / 4))
    assert cell["std_between_sets"] == pytest.approx(2.0)
    assert cell["std_between_networks"] == pytest.approx(math.sqrt(2.5))
    assert (cell["sets"], cell["networks"], cell["n"]) == (2, 4, "2x2")
    assert (cell["published_mean"], cell["published_std"]) == (48.9, 0.6)
    assert cell["difference"] == pytest.approx(2.1)
    assert cell["seconds"] == pytest.approx(4 * 2.5)


@given(st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=6), min_size=2, max_size=5))
def test_pooled_variance_is_the_sum_of_its_components(by_set: list[list[float]]) -> None:
    cell = one_cell(table(by_set))
    pooled = np.concatenate(by_set)
    assert cell["mean"] == pytest.approx(pooled.mean())
    assert cell["std"] == pytest.approx(pooled.std(ddof=0), abs=1e-6)
    within = cell["std_between_networks"]
    if math.isnan(within):
        assert max(map(len, by_set)) == 1
        within = 0.0
    assert cell["std_between_sets"] ** 2 + within**2 == pytest.approx(pooled.var(ddof=0), abs=1e-6)


@given(st.integers(2, 5), st.integers(2, 6), st.randoms(use_true_random=False))
def test_components_of_a_balanced_cell(sets: int, networks: int, random: Any) -> None:
    by_set = [[random.uniform(0, 100) for _ in range(networks)] for _ in range(sets)]
    cell = one_cell(table(by_set))
    assert cell["std_between_sets"] == pytest.approx(np.std([np.mean(part) for part in by_set]))
    assert cell["std_between_networks"] == pytest.approx(np.sqrt(np.mean([np.var(part) for part in by_set])))
    assert cell["n"] == f"{sets}x{networks}"


def test_a_deviation_that_nothing_can_tell_is_left_empty() -> None:
    assert math.isnan(one_cell(table([[50.0]]))["std"])
    one_set = one_cell(table([[50.0, 52.0]]))
    assert math.isnan(one_set["std_between_sets"])
    assert one_set["std_between_networks"] == one_set["std"] == pytest.approx(1.0)
    one_network_each = one_cell(table([[50.0], [52.0]]))
    assert math.isnan(one_network_each["std_between_networks"])
    assert one_network_each["std_between_sets"] == pytest.approx(1.0)


def test_unequal_numbers_of_networks_are_listed() -> None:
    assert one_cell(table([[1.0, 2.0, 3.0], [4.0]]))["n"] == "3+1"


def test_whole_set_is_one_set_whatever_the_seeds() -> None:
    changes = {"method": "whole", "ipc": 0, "condense_network": "", "recipe": "whole"}
    cell = one_cell(table([[80.0], [84.0]], **changes))
    assert (cell["sets"], cell["networks"], cell["n"]) == (1, 2, "2")
    assert math.isnan(cell["std_between_sets"])
    assert cell["std"] == pytest.approx(2.0)
    assert (cell["published_mean"], cell["source"]) == (84.8, "DM Table 1")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "random", "recipe": "dc"}, 26.0),
        ({"method": "random", "recipe": "dc", "condense_network": ""}, 26.0),
        ({"method": "random", "recipe": "dsa"}, None),
        ({"method": "kcenter", "recipe": "dc"}, None),
        ({"method": "dm", "recipe": "dsa"}, 48.9),
        ({"method": "dm", "recipe": "dc"}, None),
        ({"method": "dm", "recipe": "dsa", "evaluate_network": "alexnet"}, None),
        ({"method": "dm", "recipe": "dsa", "condense_network": "alexnet"}, None),
        ({"method": "dm", "recipe": "dsa", "dataset": "digits"}, None),
        ({"method": "dm", "recipe": "dsa", "ipc": 7}, None),
        (
            {
                "method": "dd",
                "recipe": "learned",
                "condense_network": "alexnet",
                "evaluate_network": "alexnet",
            },
            36.8,
        ),
        (
            {"method": "dd", "recipe": "dc", "condense_network": "alexnet", "evaluate_network": "alexnet"},
            None,
        ),
        ({"method": "dd", "recipe": "learned"}, None),
        (
            {"method": "ld", "recipe": "plain", "condense_network": "alexnet", "evaluate_network": "alexnet"},
            38.3,
        ),
    ],
)
def test_published_value_stands_only_beside_its_like(changes: dict[str, Any], expected: float | None) -> None:
    cell = one_cell([row(**changes)])
    if expected is None:
        assert math.isnan(cell["published_mean"])
        assert math.isnan(cell["published_std"])
        assert math.isnan(cell["difference"])
        assert cell["source"] == ""
    else:
        assert cell["published_mean"] == expected
        assert cell["difference"] == pytest.approx(50.0 - expected)


def test_published_numbers_are_those_of_the_papers() -> None:
    known = published.table("table1", PUBLISHED).set_index(["dataset", "ipc", "method"])
    assert tuple(known.loc[("cifar10", 50, "dm"), ["published_mean", "published_std"]]) == (63.0, 0.4)
    tiny = known.loc[("tinyimagenet", 10, "dm")]
    assert (tiny["evaluate_network"], tiny["published_mean"]) == ("convnet-d4", 12.9)
    assert known.loc[("mnist", 10, "dd"), "evaluate_network"] == "lenet"
    assert math.isnan(known.loc[("imagenet1k", 1, "random"), "published_std"])
    assert known.loc[("svhn", 0, "whole"), "published_mean"] == 95.4


def test_published_networks_have_the_norm_of_their_table() -> None:
    names = ["dataset", "method", "condense_network", "evaluate_network"]
    second = published.table("table2_normalization", PUBLISHED).set_index(names)["published_mean"]
    assert second["cifar10", "dm", "convnet", "convnet"] == 63.0
    assert second["cifar100", "dsa", "convnet-bn", "convnet-bn"] == 44.6
    assert second["tinyimagenet", "dm", "convnet-d4-bn", "convnet-d4-bn"] == 28.2
    third = published.table("table3_cross_architecture", PUBLISHED).set_index(names)["published_mean"]
    assert third["cifar10", "dsa", "convnet-bn", "alexnet-bn"] == 53.3
    assert third["cifar10", "dm", "resnet18ap-bn", "resnet18-bn"] == 52.2
    assert (len(second), len(third)) == (10, 20)


def _table4() -> pd.DataFrame:
    """Return the published cells of DM Table 4; its random networks are those of DM itself."""
    known = published.table("table4_network_distribution", PUBLISHED)
    twins = known[known["method"] == "dm-pool-random"]
    assert twins["published_mean"].tolist() == [26.0, 48.9, 63.0]
    return known.drop(twins.index)


@pytest.mark.parametrize(
    ("known", "target"),
    [
        (published.table("table2_normalization", PUBLISHED), "table2"),
        (published.table("table3_cross_architecture", PUBLISHED), "table3"),
        (_table4(), "table4"),
    ],
)
def test_the_paper_protocol_has_exactly_the_published_cells(known: pd.DataFrame, target: str) -> None:
    names = ["dataset", "ipc", "method", "recipe", "condense_network", "evaluate_network"]
    wanted = {
        (e.set.dataset, e.set.ipc, e.set.method, e.recipe, e.set.network, e.network)
        for e in load_config(PUBLISHED.parent, "paper").target_evaluations(target)
    }
    # TinyImageNet with batch norm is published but not planned: docs/targets/table2.md gives the reason.
    left_out = {("tinyimagenet", 50, "dm", "dsa", "convnet-d4-bn", "convnet-d4-bn")}
    assert wanted == set(known[names].itertuples(index=False, name=None)) - left_out


def test_the_paper_protocol_has_the_published_larger_sets() -> None:
    known = published.table("table1", PUBLISHED)
    larger = known[known["source"].str.startswith("DM larger sets")]
    sets = {
        (s.dataset, s.method, s.ipc)
        for s in load_config(PUBLISHED.parent, "paper").target_sets("larger_sets")
    }
    assert len(larger) == 5
    assert set(larger[["dataset", "method", "ipc"]].itertuples(index=False, name=None)) <= sets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset,method\nmnist,dm\n", r"columns must be"),
        (
            "dataset,ipc,method,accuracy_mean,accuracy_std,source\nmnist,1,dm,90,1,DM\nmnist,1,dm,91,1,DM\n",
            r"mnist, ipc 1, dm comes twice",
        ),
        ("dataset,ipc,method,accuracy_mean,accuracy_std,source\nmnist,1,dm,,1,DM\n", r"no accuracy_mean"),
        ("dataset,ipc,method,accuracy_mean,accuracy_std,source\nmnist,one,dm,9,1,DM\n", r"cannot be read"),
        ("", r"cannot be read"),
        (None, r"absent"),
    ],
)
def test_wrong_published_file_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "table1.csv").write_text(text)
    with pytest.raises(CondenseryError, match=message):
        published.table("table1", tmp_path)


def test_cells_of_different_training_are_not_mixed() -> None:
    with pytest.raises(CondenseryError, match=r"ipc 10, method dm, .*30 and 300 epochs in one cell"):
        one_cell([row(0, 0), row(0, 1, epochs=300)])


def test_cell_names_every_device_and_version() -> None:
    cell = one_cell([row(0, 0), row(0, 1, device="GPU", torch="2.15.0"), row(0, 2)])
    assert (cell["device"], cell["precision"], cell["torch"]) == ("GPU + cpu", "fp32", "2.11.0 + 2.15.0")
