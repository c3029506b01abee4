"""The workflow of continual learning: its plan, the arguments of its jobs, the jobs that a change repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.workflows import benchmarked, costed, plan, project, snakemake

SMALL = """
description: small
sets: 1
networks: 3
whole_networks: 1
continual:
  continual5: {dataset: digits, methods: [herding, dm], ipc: 2, steps: 5, orders: 2, networks: 4}
  dsa_continual: {datasets: [digits, mnist, usps], methods: [herding, dsa], ipc: 10, orders: 1, networks: 2}
targets:
  figure2: [{datasets: [digits], methods: [dm], ipc: [2]}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    computing = ("prepare", "pretrain", "condense", "continual", "continual_domains")
    scripts = (*computing, "continual_report", "cost", "figure", "report")
    return project(tmp_path_factory.mktemp("continual"), {"small": SMALL}, scripts)


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    snakemake(folder, "--cores", "2", targets=("continual5", "dsa_continual"), protocol="small")
    return folder / "results" / "small"


def options(path: Path) -> dict[str, str]:
    """Return option -> value of a stand-in's command line; of several values the first."""
    words = path.read_text().split()
    return {word: words[i + 1] for i, word in enumerate(words) if word.startswith("--")}


@pytest.mark.parametrize(
    ("targets", "jobs"),
    [
        # 5 orders, 5 steps; herding's features, the memories of herding and DSA; random and DM once for all
        # classes; 4 methods.
        pytest.param(
            ["continual5"],
            {"condense": 10, "continual_features": 25, "continual_memory": 50, "continual_accuracy": 20},
            marks=pytest.mark.slow,
        ),
        # 5 and 10 steps share the memories that do not depend on the steps.
        pytest.param(
            ["continual5", "continual10"],
            {"condense": 10, "continual_features": 75, "continual_memory": 150, "continual_accuracy": 40},
            marks=pytest.mark.slow,
        ),
        # SVHN has the common shape already, MNIST and USPS have not.
        (
            ["dsa_continual"],
            {"condense": 10, "pretrain": 5, "continual_features": 10, "continual_memory": 20}
            | {"continual_accuracy": 10},
        ),
    ],
)
def test_the_paper_plans_every_step(tmp_path: Path, targets: list[str], jobs: dict[str, int]) -> None:
    project(tmp_path, {})
    planned = plan(tmp_path, *targets, protocol="paper")
    assert {rule: planned[rule] for rule in jobs} == jobs
    assert planned["continual_report"] == len(targets)


@pytest.mark.slow
def test_a_step_sees_its_classes(finished: Path) -> None:
    memory = finished / "continual/digits/steps5/herding/convnet/ipc2"
    for order in range(2):
        classes = np.random.RandomState(order).permutation(10)
        for step in range(5):
            file = f"order{order}/step{step}.safetensors"
            features = finished / "continual/digits/steps5/features/convnet" / file
            only = ",".join(map(str, sorted(classes[2 * step : 2 * step + 2])))
            assert options(memory / file)["--only"] == options(features)["--only"] == only
            assert options(memory / file)["--with"] == f"features={features.relative_to(finished.parents[1])}"
            assert options(memory / file)["--seed"] == options(features)["--seed"] == str(order)
            assert "--shape" not in options(memory / file)


@pytest.mark.slow
def test_networks_are_trained_on_the_memories_of_their_order(finished: Path) -> None:
    herding = (finished / "continual/digits/steps5/herding/convnet/ipc2/order1/accuracy.parquet").read_text()
    folder = "results/small/continual/digits/steps5/herding/convnet/ipc2/order1"
    files = " ".join(f"{folder}/step{step}.safetensors" for step in range(5))
    assert f"--steps 5 --order 1 --data digits --prepared data/prepared/digits --memory {files} " in herding
    assert "--networks 4 " in herding
    # DM's classes do not depend on the steps: one ordinary set of all classes serves every step.
    dm = (finished / "continual/digits/steps5/dm/convnet/ipc2/order1/accuracy.parquet").read_text()
    assert "--memory results/small/synthetic/digits/dm/convnet/ipc2/seed1.safetensors " in dm
    assert options(finished / "synthetic/digits/dm/convnet/ipc2/seed1.safetensors")["--data"] == "digits"


@pytest.mark.slow
def test_a_sequence_is_brought_to_one_shape(finished: Path) -> None:
    folder = finished / "continual/digits+mnist+usps/steps3/dsa/convnet/ipc10/order0"
    own = {"step0.safetensors", "step2.safetensors"}
    assert {path.name for path in folder.iterdir()} == {*own, "accuracy.parquet"}
    assert options(folder / "step0.safetensors")["--data"] == "digits"
    assert options(folder / "step0.safetensors")["--shape"] == "1x28x28"
    # MNIST has the common shape, so that an ordinary set is its memory.
    accuracy = (folder / "accuracy.parquet").read_text()
    prepared = " ".join(f"data/prepared/{name}" for name in ("digits", "mnist", "usps"))
    mine, last = (str((folder / name).relative_to(finished.parents[1])) for name in sorted(own))
    ordinary = "results/small/synthetic/mnist/dsa/convnet/ipc10/seed0.safetensors"
    sets = f"{mine} {ordinary} {last}"
    arguments = f"--data digits mnist usps --prepared {prepared} --memory {sets} --network convnet"
    assert f"--seed 0 {arguments} --networks 2 " in accuracy


@pytest.mark.slow
def test_a_change_repeats_what_depends_on_it(finished: Path) -> None:
    root = finished.parents[1]
    assert plan(root, "continual5", "dsa_continual", protocol="small") == {}
    path = root / "config" / "recipes.yaml"
    text = path.read_text()
    path.write_text(text.replace("epochs: 50\n", "epochs: 51\n", 1))
    try:
        jobs = plan(root, "continual5", "dsa_continual", protocol="small")
    finally:
        path.write_text(text)
    assert jobs == {"continual_accuracy": 2, "continual_report": 1, "cost": 1, "dsa_continual": 1, "total": 5}


@pytest.mark.slow
def test_the_costs_are_those_of_all_jobs(finished: Path, tmp_path: Path) -> None:
    root = finished.parents[1]
    costs = [costed(root, name, tmp_path / name) for name in ("continual5", "dsa_continual")]
    benchmarks = benchmarked(root, "prepare", "features", "synthetic", "continual")
    assert costs[0] | costs[1] == benchmarks
