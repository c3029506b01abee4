"""Files from Git or DVC are reused if they fit the current settings, and made again if they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from condensery.data.storage import Description
from condensery.experiment import Config, load_config, settings
from condensery.identity import digest, made_from
from condensery.rows import write_rows
from condensery.synthetic import SyntheticSet
from tests.scripts import run
from tests.test_reporting import row
from tests.workflows import ROOT, plan, planned, project, snakemake

SMALL = """
description: small
sets: 1
networks: 3
whole_networks: 1
targets:
  table1: [{datasets: [digits], methods: [random, herding, dm, whole], ipc: [2]}]
  figure2: [{datasets: [digits], methods: [dm], ipc: [2]}]
"""
SCRIPTS = ("prepare", "pretrain", "condense", "evaluate", "table", "cost", "figure")
TARGETS = ("table1", "figure2")
RESULTS = "results/small"


def synthetic(data: dict[str, str] | None = None) -> SyntheticSet:
    """Return a set of digits whose provenance has the given digests of data, or none."""
    return SyntheticSet(
        *(torch.zeros(2, 1, 8, 8), torch.arange(2), ("0", "1"), (0.5,), (0.25,)),
        {"experiment": {"method": "dm"}} | ({"data": data} if data else {}),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose targets were made, by stand-ins for the scripts."""
    folder = project(tmp_path_factory.mktemp("finished"), {"small": SMALL}, SCRIPTS)
    snakemake(folder, "--cores", "2", targets=TARGETS, protocol="small")
    return folder


def clone(finished: Path, folder: Path, *parts: str) -> Path:
    """Make a project with some result folders of another one, and without Snakemake's records."""
    project(folder, {"small": SMALL}, SCRIPTS)
    for part in parts:
        shutil.copytree(finished / RESULTS / part, folder / RESULTS / part)
    return folder


@pytest.fixture
def committed(finished: Path, tmp_path: Path) -> Path:
    """Return a project after `git clone`: with tables and figures."""
    return clone(finished, tmp_path, "tables", "figures", "settings")


@pytest.fixture(scope="module")
def after_the_pull(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project after `git clone` and `dvc pull`, whose inputs are dated after its outputs."""
    parts = ("tables", "figures", "settings", "accuracy", "synthetic")
    folder = clone(finished, tmp_path_factory.mktemp("fetched"), *parts)
    for path in (folder / RESULTS).rglob("*.safetensors"):
        synthetic().save(path)
    for path in (folder / RESULTS).rglob("*.parquet"):
        write_rows([row(protocol="small", dataset="digits")], path)
    for age, part in enumerate(("synthetic", "accuracy", "figures", "tables")):
        for path in (folder / RESULTS / part).rglob("*.*"):
            os.utime(path, (1e9 - age, 1e9 - age))
    snakemake(folder, "--touch", "--cores", "1", targets=TARGETS, protocol="small")
    assert plan(folder, *TARGETS, protocol="small") == {}
    return folder


@pytest.fixture
def fetched(after_the_pull: Path, tmp_path: Path) -> Path:
    """Return a copy, for one test, of a project after `git clone` and `dvc pull`."""
    return shutil.copytree(after_the_pull, tmp_path / "fetched", symlinks=True)


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "config/protocols/small.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def prepare(folder: Path) -> None:
    """Prepare the digits with the real script."""
    done = run("prepare", "--data", "digits", "--out", folder / "data/prepared/digits")
    assert done.returncode == 0, done.stderr


NEW = {"pretrain": 1, "condense": 1, "evaluate": 2, "table": 1, "cost": 1, "table1": 1}
"""The jobs of a coreset method that is new in a table."""


@pytest.mark.parametrize("words", [(), ("networks: 3", "networks: 4")], ids=["as they are", "changed"])
def test_a_table_without_its_rows_is_made(words: tuple[str, ...], committed: Path) -> None:
    if words:
        change(committed, *words)
    jobs = plan(committed, "table1", protocol="small")
    assert (jobs["condense"], jobs["evaluate"], jobs["evaluate_whole"], jobs["table"]) == (3, 5, 1, 1)


def test_fetched_results_of_other_settings_are_made_anew_and_no_others(fetched: Path) -> None:
    change(fetched, "networks: 3\n", "networks: 3\nmethods: {dm: {parameters: {iterations: 7}}}\n")
    assert plan(fetched, "table1", protocol="small") == {
        **{"prepare": 1, "condense": 1, "evaluate": 1, "table": 1, "cost": 1, "table1": 1},
        "total": 6,
    }
    change(fetched, "iterations: 7", "iterations: 20000")  # the value of methods.yaml
    assert plan(fetched, "table1", protocol="small") == {}


@pytest.mark.slow
def test_another_method_leaves_fetched_results_alone_wherever_it_stops(fetched: Path) -> None:
    change(fetched, "random, herding, dm", "random, herding, forgetting, dm")
    assert plan(fetched, "table1", protocol="small") == {"prepare": 1, **NEW, "total": 8}
    kept = {
        path: path.read_bytes()
        for part in ("accuracy", "synthetic")
        for path in (fetched / RESULTS / part).rglob("*.*")
    }
    (fetched / "scripts/condense.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(subprocess.CalledProcessError):
        snakemake(fetched, "--cores", "2", targets=("table1",), protocol="small")
    assert {path: path.read_bytes() for path in kept} == kept


@pytest.mark.slow
def test_preparing_the_same_data_reruns_nothing_and_other_data_do(fetched: Path) -> None:
    prepare(fetched)
    assert plan(fetched, *TARGETS, protocol="small") == {}
    change(fetched, "random, herding, dm", "random, herding, forgetting, dm")
    assert plan(fetched, "table1", protocol="small") == {**NEW, "total": 7}
    for path in (fetched / RESULTS).rglob("dm/**/*.safetensors"):
        synthetic({"train": "other images"}).save(path)
        os.utime(path, (1e9, 1e9))
    assert plan(fetched, "table1", protocol="small")["condense"] == 2


def test_a_target_carries_the_settings_that_it_was_made_with(fetched: Path) -> None:
    recorded = fetched / RESULTS / "settings/figure2.json"
    config = load_config(fetched / "config", "small")
    assert settings.read(recorded) == settings.settings_of(config, "figure2")
    change(fetched, "networks: 3", "networks: 4")
    snakemake(fetched, "--cores", "2", targets=("figure2",), protocol="small")
    assert settings.read(recorded)["networks"] == 4


@pytest.mark.parametrize("option", ["--dry-run", "--summary", "--dag"])
@pytest.mark.parametrize("words", [("networks: 3", "networks: 4"), ()], ids=["changed", "as they are"])
def test_a_plan_writes_nothing_that_a_run_beside_it_uses(
    option: str, words: tuple[str, ...], fetched: Path
) -> None:
    def files() -> dict[Path, tuple[bytes, int]]:
        paths = [path for path in (fetched / "results").rglob("*") if path.is_file()]
        used = [path for path in paths if path.parent != fetched / RESULTS / "logs/settings/planned"]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in used}

    before = files()
    assert fetched / RESULTS / "logs/settings/table1.json" in before
    if words:
        change(fetched, *words)
    planned(fetched, option, targets=("table1",), protocol="small")
    assert files() == before


def test_a_stage_fails_if_its_target_was_not_made_with_what_is_asked_for(fetched: Path) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in (stages["tables"], stages["figures"]):
        _, check = stage["do"]["cmd"]
        check = check.replace("${protocol}", "small").replace("${item}", "table1")
        assert subprocess.run(check.split(), cwd=fetched, check=False).returncode == 0
    (fetched / RESULTS / "settings/table1.json").write_text("{}\n")
    assert subprocess.run(check.split(), cwd=fetched, check=False, capture_output=True).returncode != 0


@pytest.fixture(scope="module")
def laptop() -> Config:
    """Return the configuration of the protocol ``laptop``."""
    return load_config(ROOT / "config", "laptop")


def test_every_committed_target_has_the_settings_of_the_protocol(laptop: Config) -> None:
    results = ROOT / "results/laptop"
    files = [*results.glob("tables/*.csv"), *results.glob("figures/*.png")]
    names = {path.name.split(".")[0] for path in files}
    assert {path.stem for path in (results / "settings").iterdir()} == names
    for name in names:
        wanted = settings.settings_of(laptop, name)
        assert (results / f"settings/{name}.json").read_text() == settings.as_text(wanted), name


def test_what_is_released_of_the_papers_protocol_has_its_settings() -> None:
    config = load_config(ROOT / "config", "few")
    for path in (ROOT / "results/few/settings").iterdir():
        assert path.read_text() == settings.as_text(settings.settings_of(config, path.stem)), path


@pytest.mark.parametrize("change", ["parameters", "recipe", "features", "data"])
def test_settings_follow_what_a_target_is_made_with(change: str, laptop: Config) -> None:
    before = settings.settings_of(laptop, "table1")
    config = load_config(ROOT / "config", "laptop")
    if change == "data":
        config.datasets["mnist"]["mean"] = [0.5]
        changed = {"data mnist"}
    elif change == "parameters":
        config.methods["dc"]["parameters"]["lr_img"] = 7.0
        changed = {key for key in before if key.startswith("set ") and "/dc/" in key}
    else:
        name = {"recipe": "dc", "features": "features"}[change]
        config.recipes[name]["parameters"]["lr"] = 7.0
        start = {"recipe": "training dc/", "features": "features "}[change]
        changed = {key for key in before if key.startswith(start)}
    after = settings.settings_of(config, "table1")
    assert changed
    assert {key for key in before | after if before.get(key) != after.get(key)} == changed


def test_where_sets_and_rows_are_made_from(tmp_path: Path) -> None:
    prepare(tmp_path)
    folder = tmp_path / "data/prepared/digits"
    seen = Description.read(folder).seen()
    for name, data, same in (("no", None, True), ("same", seen, True), ("other", {"train": "x"}, False)):
        synthetic(data).save(tmp_path / f"{name}.safetensors")
        write_rows([row(data=digest(data))], tmp_path / f"{name}.parquet")
        for suffix in ("safetensors", "parquet"):
            assert made_from(tmp_path / f"{name}.{suffix}", [folder]) is same
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "same.parquet").read_bytes()[:-9])
    assert not made_from(tmp_path / "cut.parquet", [folder])
