"""The workflow of the architecture search: its jobs, their arguments, and the jobs that a change repeats."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workflows import benchmarked, costed, plan, project, refusal, snakemake

SMALL = """
description: small
sets: 1
networks: 1
whole_networks: 1
targets:
  table1: [{datasets: [digits], methods: [dm], ipc: [2]}]
"""
# The text before the number of epochs on proxies in config/recipes.yaml.
PROXIES = "A.3\n  parameters:\n    epochs: "
SEARCH = """
search:
  dataset: digits
  proxies: [dm, early_stopping]
  ipc: 3
  networks: 5
  repeats: 1
  validation: 0.1
  seed: 0
  networks_per_job: 3
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with stand-ins for the scripts, after a run of both targets."""
    scripts = ("prepare", "condense", "search", "search_test", "search_report", "cost")
    protocols = {"small": SMALL + SEARCH, "without": SMALL}
    root = project(tmp_path_factory.mktemp("workflow"), protocols, scripts)
    snakemake(root, "--cores", "2", targets=("table5", "figure_nas"), protocol="small")
    return root


def test_the_papers_protocol_has_a_job_for_each_part_of_each_proxy(tmp_path: Path) -> None:
    project(tmp_path, {})
    planned = plan(tmp_path, "table5", "figure_nas", protocol="paper")
    # Four proxy sets; searches on these, by early stopping and on the whole set, 24 of 720 networks per job.
    jobs = {"prepare": 1, "condense_proxy": 4, "search": 6 * 30, "search_test": 1, "search_report": 1}
    assert planned == jobs | {"cost": 1, "table5": 1, "figure_nas": 1, "total": 190}


def test_results_lie_at_their_coordinates(finished: Path) -> None:
    results = finished / "results" / "small"
    files = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    parts = [f"{part}-of-2.parquet" for part in (1, 2)]
    assert {path for path in files if not path.startswith(("logs/", "benchmarks/"))} == {
        "search/synthetic/digits/dm/convnet/ipc3/seed0.safetensors",
        *(f"search/accuracy/digits/dm/ipc3/{part}" for part in parts),
        *(f"search/accuracy/digits/early_stopping/ipc3/{part}" for part in parts),
        *(f"search/accuracy/digits/whole/{part}" for part in parts),
        "search/chosen/digits.parquet",
        *(f"tables/table5.{kind}" for kind in ("csv", "md", "tex", "json", "cost.csv", "cost.md")),
        *(f"figures/figure_nas.{kind}" for kind in ("png", "pdf")),
        *(f"settings/{target}.json" for target in ("table5", "figure_nas")),
    }


def test_jobs_get_what_to_train_on(finished: Path) -> None:
    results = finished / "results" / "small"
    proxy = results / "search/synthetic/digits/dm/convnet/ipc3/seed0.safetensors"
    assert "--for-search" in proxy.read_text().split()
    options = {
        path.relative_to(results / "search/accuracy/digits").parts[0]: path.read_text()
        for path in results.rglob("2-of-2.parquet")
    }
    assert set(options) == {"dm", "early_stopping", "whole"}
    assert options["dm"].startswith(f"--proxy {proxy.relative_to(finished)} --test --data digits ")
    assert options["early_stopping"].startswith("--early-stopping --test --data digits ")
    assert options["whole"].startswith("--whole --test --data digits ")
    assert all("--part 2-of-2 " in words for words in options.values())
    rows = re.search(r"--rows (.*?) --", (results / "search/chosen/digits.parquet").read_text())
    assert len(rows[1].split()) == 6


@pytest.mark.parametrize(
    ("file", "old", "new", "repeated"),
    [
        ("protocols/small.yaml", "repeats: 1", "repeats: 2", {"search": 6}),
        pytest.param(
            "protocols/small.yaml",
            "validation: 0.1",
            "validation: 0.2",
            {"condense_proxy": 1, "search": 6},
            marks=pytest.mark.slow,
        ),
        # Those of early stopping and of DM; and those of the whole set.
        pytest.param("recipes.yaml", f"{PROXIES}200", f"{PROXIES}201", {"search": 4}, marks=pytest.mark.slow),
        pytest.param("recipes.yaml", "epochs: 100\n", "epochs: 101\n", {"search": 2}, marks=pytest.mark.slow),
    ],
)
def test_a_change_repeats_what_depends_on_it(
    finished: Path, file: str, old: str, new: str, repeated: dict[str, int]
) -> None:
    path = finished / "config" / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    try:
        jobs = plan(finished, "table5", protocol="small")
    finally:
        path.write_text(text)
    once = {"search_test": 1, "search_report": 1, "cost": 1, "table5": 1}
    assert jobs == repeated | once | {"total": sum(repeated.values()) + 4}


def test_the_cost_is_that_of_all_jobs(finished: Path, tmp_path: Path) -> None:
    assert costed(finished, "table5", tmp_path / "cost") == benchmarked(finished, "prepare", "search")


def test_without_a_search_its_targets_are_refused_in_one_line(finished: Path) -> None:
    assert "lists no target 'table5'" in refusal(finished, "table5", protocol="without")
