"""The workflow of pools: their jobs, the jobs that depend on them, and the jobs that a change repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflows import benchmarked, costed, plan, project, snakemake

SMALL = """
description: small
sets: 1
networks: 1
whole_networks: 1
pool: {networks: 5, networks_per_job: 2, states: 3, validation: 0.1, seed: 0}
targets:
  table1: [{datasets: [digits], methods: [dm], ipc: [2]}]
  table4: [{datasets: [digits], methods: [dm, dm-pool-random, dm-pool-70-100, dm-pool], ipc: [1, 2]}]
  figure_distributions: [{datasets: [digits], methods: [dm, dm-pool], ipc: [2]}]
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with stand-ins for the scripts, after a run of both targets."""
    scripts = ("prepare", "pool", "condense", "evaluate", "table", "cost", "figure")
    root = project(tmp_path_factory.mktemp("workflow"), {"small": SMALL}, scripts)
    snakemake(root, "--cores", "2", targets=("table4", "figure_distributions"), protocol="small")
    return root


def test_the_papers_protocol_trains_one_pool_for_all_groups(tmp_path: Path) -> None:
    project(tmp_path, {})
    planned = plan(tmp_path, "table4", "figure_distributions", protocol="paper")
    # 9 groups with 3 sizes and 5 seeds; those of the figure are among them.
    jobs = {"prepare": 1, "pool": 50, "condense": 135, "evaluate": 135, "table": 1, "cost": 1}
    assert planned == jobs | {"figure": 1, "table4": 1, "figure_distributions": 1, "total": 326}


PAIRED = """
description: small
sets: 2
networks: 1
whole_networks: 1
pairs: {networks: 3, networks_per_job: 2}
targets:
  table_methods: [{datasets: [digits], methods: [dance, ncfm, m3d], ipc: [1, 2]}]
"""


def test_all_sets_share_the_pairs_of_their_data_and_network(tmp_path: Path) -> None:
    project(tmp_path, {"small": PAIRED})
    jobs = {"prepare": 1, "pairs": 2, "condense": 12, "evaluate": 24, "table": 1, "cost": 1}
    planned = plan(tmp_path, "table_methods", protocol="small")
    assert planned == jobs | {"table_methods": 1, "total": sum(jobs.values()) + 1}


def test_experts_are_made_for_the_epochs_that_sets_look_at(tmp_path: Path) -> None:
    matched = "[{datasets: [digits], methods: [mtt], ipc: [2, 50], recipes: [mtt]}]"
    text = SMALL.replace("targets:", "experts: {networks: 5, networks_per_job: 2}\ntargets:")
    project(tmp_path, {"matched": f"{text}  table_methods: {matched}\n"})
    planned = plan(tmp_path, "table_methods", protocol="matched")
    jobs = {"prepare": 1, "experts": 3, "condense": 2, "evaluate": 2, "table": 1, "cost": 1}
    assert planned == jobs | {"table_methods": 1, "total": 11}


def test_sets_wait_for_all_parts_of_a_pool_if_they_draw_from_it(finished: Path) -> None:
    results = finished / "results" / "small"
    pools = sorted(str(path.relative_to(results)) for path in results.glob("pool/**/*.safetensors"))
    parts = [f"pool/digits/convnet/{part}-of-3.safetensors" for part in (1, 2, 3)]
    assert pools == parts
    assert "--part 2-of-3 " in (results / parts[1]).read_text()
    for method in ("dm", "dm-pool-random", "dm-pool-70-100", "dm-pool"):
        words = (results / f"synthetic/digits/{method}/convnet/ipc2/seed0.safetensors").read_text()
        option = f"--with {' '.join(f'pool=results/small/{part}' for part in parts)} --"
        assert (option in words) == (method in ("dm-pool-70-100", "dm-pool")), words


def test_the_cost_is_that_of_all_jobs(finished: Path, tmp_path: Path) -> None:
    benchmarks = benchmarked(finished, "prepare", "pool", "synthetic", "accuracy")
    assert costed(finished, "table4", tmp_path / "cost") == benchmarks


def test_the_figure_shows_the_groups_in_the_order_of_the_protocol(finished: Path) -> None:
    words = (finished / "results/small/figures/figure_distributions.png").read_text()
    sets = [
        f"results/small/synthetic/digits/{name}/convnet/ipc2/seed0.safetensors" for name in ("dm", "dm-pool")
    ]
    assert f"--sets {' '.join(sets)} --rows " in words


@pytest.mark.parametrize(
    ("file", "old", "new", "repeated"),
    [
        # The pool, and the sets of two sizes that draw from it.
        ("protocols/small.yaml", "states: 3", "states: 4", {"pool": 3, "condense": 4, "evaluate": 4}),
        ("methods.yaml", "network_group: 70-100", "network_group: 60-70", {"condense": 2, "evaluate": 2}),
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
        jobs = plan(finished, "table4", protocol="small")
    finally:
        path.write_text(text)
    once = {"table": 1, "cost": 1, "table4": 1}
    assert jobs == repeated | once | {"total": sum(repeated.values()) + 3}
