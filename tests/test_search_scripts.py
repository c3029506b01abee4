"""The scripts of the architecture search: only the last reads test images, and each reads the one before."""

from __future__ import annotations

import dataclasses
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from condensery import data
from condensery.data import RealData, views
from condensery.rows import SEARCH, read_rows
from condensery.search import ranking
from condensery.synthetic import SyntheticSet
from tests import problems

ROOT = Path(__file__).parents[1]
SMALL = {
    "description": "small",
    "sets": 1,
    "networks": 1,
    "whole_networks": 1,
    "methods": {"dm": {"parameters": {"iterations": 2, "batch_real": 4}}},
    "recipes": {
        "search": {"parameters": {"epochs": 1, "batch": 4}},
        "search_whole": {"parameters": {"epochs": 1, "batch": 4}},
    },
    "targets": {"table1": [{"datasets": ["digits"], "methods": ["dm"], "ipc": [2]}]},
    "search": {
        "dataset": "digits",
        "proxies": ["dm", "early_stopping"],
        "ipc": 2,
        "networks": 3,
        "widths": [32],
        "repeats": 2,
        "validation": 0.2,
        "seed": 0,
        "networks_per_job": 2,
    },
}


class Untouchable:
    """A test split whose images must not be read."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"a test image is touched: {name}")

    def __len__(self) -> int:
        raise AssertionError("the test images are counted")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with the protocol ``small``."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config" / "protocols" / "small.yaml").write_text(yaml.safe_dump(SMALL))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs a script in this process on given real data."""

    def run(script: str, real: RealData, *arguments: object) -> None:
        monkeypatch.setattr(data, "load", lambda folder: real)
        common = ["--data", "digits", "--protocol", "small", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", [script, *common, *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(ROOT / "scripts" / f"{script}.py"), run_name="__main__")
        assert left.value.code == 0

    return run


@pytest.fixture
def real() -> RealData:
    return problems.real_data(channels=1, size=8)


def search(run, real: RealData) -> None:
    """Condense a proxy, and search with each kind of training data."""
    proxy = ["--method", "dm", "--ipc", 2, "--seed", 0, "--for-search"]
    run("condense", real, *proxy, "--out", "dm.safetensors")
    run("search", real, "--proxy", "dm.safetensors")
    run("search", real, "--early-stopping", "--out", "rows/early.parquet")
    for part in ("1-of-2", "2-of-2"):
        run("search", real, "--whole", "--part", part, "--out", f"rows/whole-{part}.parquet")
    Path("dm.search.parquet").rename("rows/dm.parquet")


@pytest.mark.slow
def test_no_test_image_reaches_the_search(folder, run, real, capsys) -> None:
    blind = dataclasses.replace(real, test=Untouchable())
    search(run, blind)
    with pytest.raises(AssertionError, match="a test image is touched"):
        run("search_test", blind, "--rows", "rows", "--out", "tests.parquet")
    with pytest.raises(AssertionError, match="a test image is touched"):
        run("evaluate", blind, "--whole", "--recipe", "dsa", "--out", "whole.parquet")


def test_from_a_proxy_to_the_test_of_what_it_chose(folder, run, real, capsys) -> None:
    search(run, real)
    proxy = SyntheticSet.load(folder / "dm.safetensors")
    assert proxy.provenance["experiment"]["split"] == {
        "validation": 0.2,
        "training_images": None,
        "seed": 0,
    }
    rows = read_rows((folder / "rows").iterdir(), "small", SEARCH)
    assert len(rows) == 3 * 3 * 2  # trained on, networks, repeats
    assert rows["test_accuracy"].isna().all()
    images = rows.groupby("proxy")[["images", "steps", "ipc"]].first()
    # 55 images, of which 11 validate; 6 in a proxy; batches of 4, two passes.
    assert images.loc["dm"].tolist() == [6, 4, 2]
    assert images.loc["early_stopping"].tolist() == [44, 4, 0]
    assert images.loc["whole"].tolist() == [44, 22, 0]
    seeds = rows.groupby("proxy")["network_seed"].agg(lambda column: sorted(set(column)))
    assert seeds.to_dict() == {"dm": [0, 1], "early_stopping": [0, 1], "whole": [1000, 1001]}

    scores = ranking.scores(rows)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    ranks = {line[-1]: int(line[0]) for line in printed[1:4]}
    assert sorted(ranks, key=ranks.get) == ranking.ranked(scores["dm"])
    for line in printed[1:4]:
        assert float(line[1]) == pytest.approx(scores["dm"][line[-1]], abs=0.005)

    run("search_test", real, "--rows", "rows", "--out", "tests.parquet")
    tests = read_rows([folder / "tests.parquet"], "small", SEARCH)
    assert set(tests["network"]) == {ranking.ranked(scores[proxy])[0] for proxy in scores}
    assert tests["validation_accuracy"].isna().all()
    assert tests["test_accuracy"].notna().all()
    assert (
        tests.groupby("network")["network_seed"].agg(list).tolist()
        == [[1000, 1001]] * tests["network"].nunique()
    )
    assert not list(folder.rglob("*.checkpoint*"))


def test_tests_of_every_network_change_no_ranking(folder, run, real) -> None:
    for option in ([], ["--test"]):
        run("search", real, "--whole", "--part", "1-of-2", *option, "--out", f"rows{len(option)}.parquet")
    plain, tested = (read_rows([folder / f"rows{count}.parquet"], "small", SEARCH) for count in range(2))
    assert plain["test_accuracy"].isna().all()
    assert tested["validation_accuracy"].tolist() == plain["validation_accuracy"].tolist()
    # The networks are those that the test of the selected architectures trains.
    run("search_test", real, "--rows", "rows1.parquet", "--out", "chosen.parquet")
    chosen = read_rows([folder / "chosen.parquet"], "small", SEARCH)
    same = tested.merge(chosen, on=["network", "network_seed"], suffixes=("", "_again"))
    assert len(same) == 2
    assert same["test_accuracy"].tolist() == same["test_accuracy_again"].tolist()


def test_a_proxy_has_no_validation_image(folder, run, real) -> None:
    options = ["--method", "random", "--ipc", 10, "--seed", 0]
    validation = views.held_out(real, 0.2, 0).test
    known = {
        image.numpy().tobytes()
        for image in validation.batch(range(len(validation)), problems.CPU.torch_device)
    }
    shared = []
    for option in ([], ["--for-search"]):
        run("condense", real, *options, *option, "--out", "random.safetensors")
        images = SyntheticSet.load(folder / "random.safetensors").images
        shared.append(sum(image.numpy().tobytes() in known for image in images))
    assert shared[0] > 0
    assert shared[1] == 0


@pytest.mark.parametrize("option", [[], ["--for-search"]])
def test_a_proxy_that_may_know_the_validation_images_is_named(folder, run, real, caplog, option) -> None:
    options = ["--method", "random", "--ipc", 2, "--seed", 0, *option]
    run("condense", real, *options, "--out", "random.safetensors")
    run("search", real, "--proxy", "random.safetensors", "--part", "1-of-3")
    warned = [each.getMessage() for each in caplog.records if "validation images" in each.getMessage()]
    assert len(warned) == (0 if option else 1)


def test_a_protocol_without_a_search_says_so(folder, run, real, capsys) -> None:
    without = {key: value for key, value in SMALL.items() if key != "search"}
    (folder / "config" / "protocols" / "small.yaml").write_text(yaml.safe_dump(without))
    with pytest.raises(AssertionError, match="1 == 0"):
        run("search", real, "--whole")
    assert "error: protocol small has no architecture search" in capsys.readouterr().err
