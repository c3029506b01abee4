"""The benchmarks: counted operations against formulas, tables, rates, paired differences, complete runs."""

from __future__ import annotations

import csv
import itertools
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from condensery import cost, networks
from condensery.experiment import load_config
from harness import data as noise
from harness import loops, method_loops, plan, processes, profiling, rates, table, work
from harness.case import LOOPS, METHODS, Case
from harness.ceilings import Ceilings
from harness.pair_case import pair_cases
from harness.pairs import difference_of_means
from tests import problems

ROOT = Path(__file__).resolve().parents[1]
TINY = Case("loops", "dm", ipc=1, size=16, batch_real=8, images=1_000, network="convnet-d2-w16")

# Operations of a forward pass of TINY's network on one image: two convolutions of 3x3 and the classifier.
FIRST = 2 * 9 * 3 * 16 * 16**2
SECOND = 2 * 9 * 16 * 16 * 8**2
LINEAR = 2 * 16 * 4**2 * 10


def counted(case: Case) -> float:
    part = loops.build(case, noise.real_data(case, Path()), problems.CPU, part=True)
    return work.of_step(case, part).operations


def test_operations_of_dm_are_those_of_the_formula() -> None:
    """A forward pass of real images, forward and backward passes of synthetic ones; no classifier."""
    assert counted(TINY) == pytest.approx(10 * (8 + 2) * (FIRST + SECOND), rel=0.01)


def test_operations_of_training_and_testing_are_those_of_the_formula() -> None:
    forward = FIRST + SECOND + LINEAR
    # The backward pass goes to the weights of all layers, and to the inputs of all but the first.
    training = 2 * forward + SECOND + LINEAR
    assert counted(replace(TINY, loop="training", networks=3)) == pytest.approx(3 * 10 * training, rel=0.01)
    assert counted(replace(TINY, loop="dsa-network")) == pytest.approx(10 * training, rel=0.01)
    assert counted(replace(TINY, loop="testing")) == pytest.approx(10_000 * forward, rel=0.01)


def test_operations_of_dsa_grow_by_one_image_as_much_as_differentiating_twice_costs() -> None:
    """Each synthetic image is differentiated twice; each real image has one training pass."""
    forward = FIRST + SECOND + LINEAR
    training = 2 * forward + SECOND + LINEAR
    synthetic = counted(replace(TINY, loop="dsa-pixels")) / 10 - 8 * training
    assert 2 * training < synthetic < 4 * training


def test_operations_of_later_methods_are_those_of_the_formula(tmp_path: Path) -> None:
    """Four images are decoded from one; DANCE's second loss sees them alone, with the classifier."""

    def of(method: str) -> float:
        case = replace(TINY, study="methods", loop=method)
        real = noise.real_data(case, tmp_path)
        return work.of_step(
            case, method_loops.build(case, real, problems.CPU, tmp_path, part=True)
        ).operations

    matched, calibrated = 10 * (8 + 2 * 4) * (FIRST + SECOND), 10 * 2 * 4 * (FIRST + SECOND + LINEAR)
    assert of("datadam") == counted(TINY)
    assert of("m3d") == pytest.approx(matched, rel=0.03)  # and the distances between features
    assert of("dance") == matched + calibrated


@pytest.mark.parametrize("method", ["ncfm", "idm", "idc"])
def test_steps_of_later_methods_run(method: str, tmp_path: Path) -> None:
    case = replace(TINY, study="methods", loop=method, images=10_000)
    step = method_loops.build(case, noise.real_data(case, tmp_path), problems.CPU, tmp_path)
    for number in range(2):
        step(number)


def test_least_bytes_of_testing_are_those_of_its_maps() -> None:
    maps = (3 * 16**2 + 16 * 16**2) + (16 * 8**2 + 16 * 8**2) + (16 * 4**2 + 10)
    net = networks.build("convnet-d2-w16", channels=3, size=(16, 16), classes=10)
    assert work.map_numbers(net, 3, 16) == maps
    weights = (27 * 16 + 16) + (9 * 16 * 16 + 16) + 2 * 2 * 16 + (16 * 4**2 * 10 + 10)
    case = replace(TINY, loop="testing", networks=2)
    assert work.least_bytes(case) == 2 * (10_000 * (3 * 16**2 + 2 * 4 * maps) + 4 * weights)
    assert work.least_bytes(replace(case, precision="bf16")) < 0.6 * work.least_bytes(case)


def test_plan_covers_what_grows_on_every_device() -> None:
    for device in ("cpu", "cuda"):
        cases = plan.cases(device, quick=False)
        assert {c.loop for c in cases if c.study == "loops"} == set(LOOPS)
        assert {c.loop for c in cases if c.study == "methods"} == set(METHODS)
        assert {c.classes for c in cases if c.study == "classes"} == {10, 100, 200}
        assert {c.ipc for c in cases if c.study == "ipc"} == {1, 10, 50}
        assert {c.size for c in cases if c.study == "size"} == {28, 32, 64}
        assert {c.images for c in cases if c.study == "images"} == {50_000, 200_000, 1_281_167}
        precisions = {c.precision for c in cases if c.study == "loops"}
        assert precisions == set(plan.precisions(device, quick=False))
        assert ("tf32" in precisions) == (device == "cuda")


def test_a_large_data_set_takes_no_space(tmp_path: Path) -> None:
    real = noise.real_data(replace(TINY, study="images", images=1_000_000), tmp_path)
    file = tmp_path / "images.npy"
    assert file.stat().st_size > 1_000_000 * 3 * 16**2
    assert file.stat().st_blocks * 512 < 10**6
    assert len(real.train) == 1_000_000
    assert real.train.batch(np.array([0, 999_999]), torch.device("cpu")).shape == (2, 3, 16, 16)


def rows(kind: str = "cpu") -> list[dict]:
    """Return invented rows of a complete benchmark: an image takes a millisecond, compiled half of it."""
    about = {"device": "a (machine)", "kind": kind, "threads": 2}
    about |= {"condensery": "1", "commit": "c" * 40, "torch": "2", "python": "3"}
    written = []
    for case in plan.cases(kind, quick=False):
        seconds = (case.images_per_step or 1000) * (5e-4 if case.compiled else 1e-3)
        result = {"seconds": seconds, "spread": 0.0, "steps": 3, "first_seconds": 1.0, "start_seconds": 4.0}
        result |= {"peak_bytes": 10**9, "operations": 1e9 * seconds, "bytes": 1e9 * seconds}
        written.append(table.row(case, result, Ceilings(4e9, 2e9), about))
    return written


def test_fractions_of_the_ceiling() -> None:
    row = rows()[0]
    assert row["of_product"] == pytest.approx(1 / 4)
    assert row["of_copy"] == pytest.approx(1 / 2)
    assert row["of_ceiling"] == pytest.approx(1 / 2)
    assert row["images_per_second"] == pytest.approx(2000)


def test_table_says_the_memory_of_dsa_and_whether_it_is_under_the_limit() -> None:
    written = rows()
    assert "1,000 MB with the whole process, under the limit of 4,000 MB" in table.markdown(written, [])
    for row in written:
        row["peak_bytes"] = 5 * 10**9
    assert "OVER the limit" in table.markdown(written, [])


def test_rows_are_kept_for_the_same_machine_and_commit_only(tmp_path: Path) -> None:
    written = rows()
    table.write_csv(written, tmp_path / "bench.csv")
    about = {name: written[0][name] for name in ("device", "threads", "commit", "torch")}
    kept = table.kept(tmp_path / "bench.csv", about)
    for case in plan.cases("cpu", quick=False):
        assert table.holding(kept, vars(case))["seconds"] == table.holding(written, vars(case))["seconds"]
    assert table.kept(tmp_path / "bench.csv", about | {"commit": "d" * 40}) == []
    assert table.kept(tmp_path / "none.csv", about) == []


def test_rates_of_other_devices_stay(tmp_path: Path) -> None:
    path = tmp_path / "rates.yaml"
    cpu = "# Of the CPU.\ncpu:\n  start: 1\n  jobs:\n    - {seconds: 1}\n"
    path.write_text(f"# The head.\n\n{cpu}\n# Of the GPU.\ngpu:\n  start: 2\n")
    rates.update(rows("cpu"), path)
    text = path.read_text()
    assert text.startswith("# The head.\n\n# Written by")
    assert text.endswith("\n\n# Of the GPU.\ngpu:\n  start: 2\n")
    assert "Of the CPU" not in text
    entry = yaml.safe_load(text)["cpu"]
    assert entry["start"] == 4
    (dm,) = [job for job in entry["jobs"] if job.get("method") == "dm" and job["ipc"] == 10]
    # A step of 2,660 images takes 1.33 seconds on two cores.
    assert dm["seconds"] == pytest.approx(dm["parameters"]["iterations"] * 2 * 1.33, rel=0.01)
    (dsa,) = [job for job in entry["jobs"] if job.get("method") == "dsa" and job["ipc"] == 10]
    # Ten of these steps, and nine times fifty epochs on 100 images of 0.05 seconds.
    assert dsa["seconds"] == pytest.approx(2 * (10 * 1.33 + 450 * 0.05), rel=0.01)
    rates.update(rows("cuda"), path)
    assert set(yaml.safe_load(path.read_text())) == {"cpu", "gpu"}


def test_rates_tell_the_time_that_was_measured(tmp_path: Path) -> None:
    """DM at 10 images per class takes 20,000 steps of 1.33 seconds, and the processes start in 4."""
    path = tmp_path / "rates.yaml"
    rates.update(rows("cuda"), path)
    config = load_config(ROOT / "config", "paper")
    found = cost.read_rates(path, config)["gpu"]
    assert set(found.kinds) == {"features", "gradients", "training"}
    job = {"dataset": "cifar10", "method": "dm", "network": "convnet", "ipc": 10}
    seconds = found.seconds(cost.of_job(config, "condense", job))
    # All invented images cost the same, but by the rates real ones cost less than synthetic ones.
    assert seconds == pytest.approx(4 + 20_000 * 1.33, rel=0.5)


def test_comparisons_have_no_seed_in_common() -> None:
    seeds = sorted(case.seed for case in pair_cases("cpu", quick=False))
    assert all(after - before > 1_000 for before, after in itertools.pairwise(seeds))


def test_difference_of_means_has_the_error_of_independent_samples() -> None:
    a, b = [1.0, 2.0, 3.0], [5.0, 5.0]
    assert difference_of_means(a, b) == pytest.approx((-3.0, math.sqrt(1 / 3)))
    assert difference_of_means([1.0], b) == pytest.approx((-4.0, math.nan), nan_ok=True)


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(
    "script",
    ["bench.py", "against_reference.py", "against_methods.py", "host.py", "precision.py", "threads.py"],
)
def test_script_explains_itself(script: str) -> None:
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert f"python benchmarks/{script}" in done.stdout


def test_reference_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run("against_reference.py", "--reference", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_quick_benchmark(tmp_path: Path) -> None:
    common = ("--quick", "--device", "cpu", "--out", str(tmp_path))
    done = run("bench.py", *common)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "bench.csv").open() as file:
        found = list(csv.DictReader(file))
    assert {r["loop"] for r in found} == {*LOOPS, *METHODS}
    for row in found:
        assert float(row["seconds"]) > 0
        # A machine that was busy while its ceilings were measured may seem to exceed them a few times.
        assert 0 < float(row["of_ceiling"]) < 10
        assert 10**8 < float(row["peak_bytes"]) < 2 * 10**9
    for name in ("bench.md", "bench.png"):
        assert (tmp_path / name).stat().st_size > 500
    again = run("bench.py", *common, "--resume", "--minutes", "0.0001")
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout, "what was measured is not kept"


STEP = """
from pathlib import Path
from condensery.machine import device
from harness import clock, data, loops
from harness.case import Case
case, where = Case("loops", "dsa-pixels"), device.choose("cpu", compile=False)
loops.build(case, data.real_data(case, Path()), where)(0)
print(clock.peak_bytes(where.torch_device))
"""


@pytest.mark.slow
def test_step_of_dsa_takes_less_than_4_gb() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEP], env=processes.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # 256 images keep about 400,000 numbers each, so that a smaller peak cannot be right.
    assert 256 * 400_000 * 4 < int(done.stdout) < table.DSA_LIMIT


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::addmm", "matrix products"),
        ("aten::grid_sampler_2d", "augmentation"),
        ("cpp_fused_native_group_norm_relu_1", "fused by the compiler"),
        ("aten::native_group_norm", "normalization, activation, pooling"),
        ("aten::randperm", "random numbers"),
        ("aten::index_select", "copies and gathers"),
        ("aten::add_", "sums and other arithmetic"),
    ],
)
def test_profiled_operators_are_sorted_by_what_they_are_for(operator: str, kind: str) -> None:
    assert profiling.kind_of(operator) == kind


def test_a_profile_shares_out_the_whole_step() -> None:
    case = replace(TINY, batch_real=64)
    step = loops.build(case, noise.real_data(case, Path()), problems.CPU)
    shares = []
    # On a busy machine the time in which this process waits counts for the operator that it interrupts.
    while max(shares, default=0) < 0.05 and len(shares) < 10:
        found = profiling.of_step(step, problems.CPU)
        assert sum(found.kinds.values()) == pytest.approx(found.seconds, rel=0.05)
        shares.append(found.share("convolutions"))
    assert max(shares) > 0.05
