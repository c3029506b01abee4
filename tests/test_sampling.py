"""Sampling from generators: sets from the scripts, and refusals of files that do not fit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from condensery import generators, methods
from condensery.errors import CondenseryError
from condensery.files import write_tensors
from condensery.synthetic import SyntheticSet
from tests import problems
from tests.scripts import run
from tests.test_generators import PARAMETERS, setting
from tests.test_scripts import assert_one_line, condense, digits

__all__ = ["digits"]  # a fixture

ROOT = Path(__file__).parents[1]


def test_a_set_of_a_trained_generator_is_that_of_a_generator_of_its_own(digits, tmp_path) -> None:
    trained, alone, sampled = (tmp_path / f"{name}.safetensors" for name in ("trained", "alone", "sampled"))
    options = ("--data", "digits", "--prepared", digits, "--seed", 0, "--protocol", "smoke")
    done = run("train_generator", *options, "--method", "vae", "--out", trained)
    assert done.returncode == 0, done.stderr
    assert condense(digits, alone, "vae", ipc=2).returncode == 0
    done = condense(digits, sampled, "vae", ipc=2, **{"with": f"generator={trained}"})
    assert done.returncode == 0, done.stderr
    assert sampled.read_bytes() == alone.read_bytes()
    synthetic = SyntheticSet.load(sampled)
    assert synthetic.labels.tolist() == [c for c in range(10) for _ in range(2)]
    assert synthetic.provenance["experiment"]["parameters"]["iterations"] == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        p.name for p in (trained, alone, sampled)
    )
    done = run("train_generator", *options, "--method", "dm", "--out", tmp_path / "dm.safetensors")
    assert_one_line(done, "--method dm does not use a generator: choose one of gmmn, vae, biggan")


@pytest.mark.parametrize("change", [None, "kind", "dataset", "classes", "seed", "parameters"])
def test_only_the_generator_of_the_problem_is_sampled(change: str | None, tmp_path: Path) -> None:
    chosen = setting("gmmn", iterations=1)
    about = {"kind": "gmmn", "dataset": "patterns", "classes": [0, 1, 2], "seed": 0}
    about |= {"parameters": dict(chosen.parameters)}
    if change:
        about[change] = None
    path = tmp_path / "generator.safetensors"
    write_tensors(path, generators.train("gmmn", chosen), about)
    asked = problems.problem(chosen.data, trained={"generator": [path]})
    object.__setattr__(asked, "parameters", PARAMETERS["gmmn"] | {"iterations": 1})
    if change:
        with pytest.raises(CondenseryError, match=f"a generator of {change} None"):
            methods.get("gmmn").condense(asked)
    else:
        assert methods.get("gmmn").condense(asked).images.shape == (6, 3, 8, 8)


def test_a_file_that_is_no_generator_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(CondenseryError, match="cannot be read as a generator"):
        methods.get("vae").condense(problems.problem(trained={"generator": [path]}))


@pytest.mark.slow
def test_one_generator_serves_all_sizes_of_a_seed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--dry-run"),
            *("--config", "protocol=paper", "classes_per_job=5", "--", "table6"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    jobs = {
        rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.M)
    }
    # 3 kinds and 5 seeds. Random, DM and MMD in two jobs for 3 sizes, 4 variants of MMD in two for one.
    # The others in one job.
    assert jobs["generator"] == 3 * 5
    assert jobs["condense_classes"] == 5 * (2 * (3 * 3 + 4) + 3 * 3)
    # All methods except DM in two recipes.
    assert jobs["evaluate"] == 5 * (3 * (5 * 2 + 1) + 4 * 2)
    read = re.findall(
        r"input: (\S+), (\S+generators/cifar10/biggan/seed3.safetensors)", done.stdout + done.stderr
    )
    assert len(read) == 3


def test_snapshots_of_a_generator_are_refused(tmp_path: Path) -> None:
    from condensery.run import Recorder, Run

    with pytest.raises(CondenseryError, match="biggan does not learn its images"):
        methods.get("biggan").condense(problems.problem(), run=Run(recorder=Recorder([1])))


def test_sampling_leaves_the_generator_as_it_is() -> None:
    chosen = setting("biggan", iterations=1)
    weights = generators.train("biggan", chosen)
    generator = generators.build("biggan", chosen.data.info, chosen.parameters, weights, chosen.device)
    first, second = (generators.sample(generator, (0, 1), 3, 0, problems.CPU) for _ in range(2))
    assert torch.equal(first, second)
