"""The planned cost of a run, from the output of a dry run."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condensery import cost
from condensery.architectures import FAMILIES, Family
from condensery.cost import forecast, plan
from condensery.cost.forecast import Forecast
from condensery.cost.plan import Job
from condensery.experiment import Config, load_config

ROOT = Path(__file__).resolve().parents[1]

DRY_RUN = """\
Building DAG of jobs...
Job stats:
job               count
--------------  -------
condense              1

[Sat Nov 21 07:30:58 2026]
rule condense:
    input: data/prepared/digits/info.json, results/smoke/features/digits/convnet/seed1.safetensors
    output: results/smoke/synthetic/digits/herding/convnet/ipc10/seed1.safetensors
    jobid: 50
    reason: Missing output files: results/smoke/synthetic/digits/herding/convnet/ipc10/seed1.safetensors
    wildcards: protocol=smoke, dataset=digits, method=herding, network=convnet, ipc=10, seed=1
    threads: 2
    resources: tmpdir=/tmp, runtime=61, gpu=1, device=auto, mem_mb=4007, mem=4.01 GB, mem_mib=3822
[Sat Nov 21 07:30:59 2026] Group job short (jobs in lexicogr. order):

    [Sat Nov 21 07:30:59 2026]
    rule evaluate:
        input: results/smoke/synthetic/digits/herding/convnet/ipc10/seed1.safetensors
        output: results/smoke/accuracy/digits/herding/convnet/ipc10/seed1/dc-convnet.parquet
        wildcards: protocol=smoke, dataset=digits, method=herding, network=convnet, ipc=10, seed=1, recipe=dc, evaluation=convnet
        resources: tmpdir=/tmp, runtime=11, gpu=1, device=auto, mem_mb=4002

[Sat Nov 21 07:31:00 2026]
localrule table1:
    input: results/smoke/tables/table1.csv, results/smoke/tables/table1.md
    jobid: 0
    resources: tmpdir=/tmp
This was a dry-run (flag -n). The order of jobs does not reflect the order of execution.
"""  # noqa: E501


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config", "smoke")


def test_jobs_are_read_from_a_dry_run() -> None:
    condense, evaluate, table = plan.parse(DRY_RUN)
    assert (condense.rule, evaluate.rule, table.rule) == ("condense", "evaluate", "table1")
    assert condense.wildcards["method"] == "herding"
    assert condense.outputs == evaluate.inputs
    assert (condense.computes, evaluate.computes, table.computes) == (True, True, False)
    assert (condense.limit, evaluate.limit) == (61 * 60, 11 * 60)


def test_times_are_those_of_the_work(config: Config) -> None:
    condense, evaluate, _ = jobs = plan.parse(DRY_RUN)
    rates = cost.read_rates(ROOT / "benchmarks/rates.yaml", config)["gpu"]
    seconds = plan.seconds(plan.works(jobs, config), rates)
    assert seconds == {
        job: rates.seconds(cost.of_job(config, job.rule, job.wildcards)) for job in (condense, evaluate)
    }
    other = Job("other", {}, frozenset(), frozenset(), {"gpu": "1", "runtime": "30"})
    assert plan.seconds([(other, None)], rates) == {other: 1800}


def chain(lengths: list[float], links: list[int]) -> dict[Job, float]:
    """Return jobs, each of which waits for an earlier one, or for none (-1)."""
    jobs: list[Job] = []
    for number, link in enumerate(links[: len(lengths)]):
        needs = {f"file {link % number}"} if number and link >= 0 else set()
        jobs.append(Job("rule", {}, frozenset(needs), frozenset({f"file {number}"}), {}))
    return dict(zip(jobs, lengths, strict=False))


@given(
    st.lists(st.floats(0.1, 100), min_size=1, max_size=12),
    st.lists(st.integers(-1, 20), min_size=12, max_size=12),
    st.integers(1, 6),
)
def test_the_wall_time_is_that_of_a_schedule_without_idle_devices(
    lengths: list[float], links: list[int], devices: int
) -> None:
    jobs = chain(lengths, links)
    maker = {path: job for job in jobs for path in job.outputs}

    @cache
    def end(job: Job) -> float:
        return jobs[job] + max((end(maker[path]) for path in job.inputs), default=0)

    total, longest = sum(jobs.values()), max(map(end, jobs))
    assert plan.makespan(jobs, 1) == pytest.approx(total)
    assert plan.makespan(jobs, len(jobs)) == pytest.approx(longest)
    # Graham's bound: such a schedule is never longer than this.
    makespan = plan.makespan(jobs, devices)
    assert (
        max(total / devices, longest) - 1e-6
        <= makespan
        <= total / devices + longest * (1 - 1 / devices) + 1e-6
    )


def test_a_run_is_planned_with_the_times_of_its_jobs(config: Config) -> None:
    condense, evaluate, table = jobs = plan.parse(DRY_RUN)
    rates = cost.read_rates(ROOT / "benchmarks/rates.yaml", config)["cpu"]
    alone = plan.seconds(plan.works(jobs, config), rates)
    planned = forecast.planned(jobs, config, rates, threads=2)
    assert planned[table] == rates.start
    for job in (condense, evaluate):
        assert planned[job] - rates.start == pytest.approx((alone[job] - rates.start) / 2)


def test_the_time_left_follows_the_jobs_that_have_ended() -> None:
    def job(rule: str, method: str, needs: str = "", makes: str = "") -> Job:
        return Job(rule, {"method": method}, frozenset({needs} - {""}), frozenset({makes}), {})

    dm, again, dsa = (job("condense", method, makes=f"{n}") for n, method in enumerate(("dm", "dm", "dsa")))
    test = job("evaluate", "dsa", needs="2")
    run = Forecast({dm: 100, again: 100, dsa: 50, test: 10}, devices=2)
    assert run.left({}) == 160  # the longest jobs first: 100 each, then 50, then 10
    run.end(dm, 300)
    # The other job of DM takes three times as long, and so do jobs of kinds that have not ended yet.
    assert run.left({again: 30}) == pytest.approx(300 - 30)
    run.end(dsa, 25)
    # The two jobs that ended were planned with 150 seconds and took 325.
    assert run.left({again: 280, test: 0}) == pytest.approx(10 * 325 / 150)
    run.end(again, 100)
    run.end(job("table", ""), 1000)
    assert run.left({test: 1000}) == 0  # it takes longer than planned, so that no time is left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "10 s"), (14, "10 s"), (96, "1 min 40 s"), (3599, "1 h 00 min"), (700, "12 min")],
)
def test_an_estimate_is_rough(seconds: float, text: str) -> None:
    assert forecast.rough(seconds) == f"about {text}"


def test_disk_is_that_of_the_pixels(config: Config) -> None:
    prepare = Job("prepare", {"dataset": "digits"}, frozenset(), frozenset(), {})
    written = plan.disk([prepare, *plan.parse(DRY_RUN)], config)
    assert written["sets"] == 10 * 10 * 8 * 8 * 4
    # 1,442 and 355 images with one byte per pixel; classes count as equally large.
    assert written["data"] == pytest.approx(1797 * 64, rel=0.1)


def test_disk_of_a_gathered_set_counts_once(config: Config) -> None:
    wildcards = {"dataset": "digits", "ipc": "10"}
    parts = [
        Job("condense_classes", wildcards | {"shard": shard}, frozenset(), frozenset(), {})
        for shard in ("0-4", "5-9")
    ]
    gathered = Job("gather", wildcards, frozenset(), frozenset(), {})
    assert plan.disk([*parts, gathered], config) == {"sets": 10 * 10 * 8 * 8 * 4}


def test_a_network_family_of_ones_own_is_planned_as_a_convnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "mine", Family("mine:mine", batch_norm=True))
    paper = load_config(ROOT / "config", "paper")
    jobs = {
        name: Job(
            "pool",
            {"dataset": "mnist", "network": name, "part": "1-of-50"},
            frozenset(),
            frozenset(),
            {"gpu": "1"},
        )
        for name in ("mine", "convnet")
    }
    assert plan.disk([jobs["mine"]], paper) == plan.disk([jobs["convnet"]], paper)
    assert plan.works([jobs["mine"]], paper)[0][1] == plan.works([jobs["convnet"]], paper)[0][1]
    # Whatever its name, its classes go through the network together.
    assert paper.independent("dm", "convnet")
    assert not paper.independent("dm", "mine")


def test_disk_of_a_pool_is_that_of_its_states() -> None:
    coordinates = {"dataset": "cifar10", "network": "convnet", "part": "1-of-50"}
    job = Job("pool", coordinates, frozenset(), frozenset(), {})
    paper = load_config(ROOT / "config", "paper")
    # 1,000 networks with 20 states of 320,010 weights, two bytes each.
    assert plan.disk([job] * 50, paper)["pools"] == pytest.approx(1000 * 20 * 320010 * 2, rel=0.01)


def planned(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/plan.py", "--protocol", "smoke", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        input=text,
        capture_output=True,
        text=True,
    )


def test_the_script_says_where_its_times_come_from() -> None:
    printed = planned(DRY_RUN, "--devices", "2", "8").stdout
    assert printed.startswith("3 jobs: 1 condense, 1 evaluate, 1 table1\n")
    assert "published times of the authors' code, not measured with this one" in printed
    assert "on 2 " in printed
    assert "on 8 " in printed


def test_a_precision_that_a_cpu_does_not_have_is_planned_for_the_gpu() -> None:
    done = planned(DRY_RUN, "--precision", "tf32")
    assert done.returncode == 0, done.stderr
    cpu, gpu = done.stdout.split("\ngpu: ")
    assert "not planned: precision tf32 needs a CUDA device" in cpu
    assert "device hours" not in cpu
    assert "device hours" in gpu


@pytest.mark.slow
def test_the_script_refuses_what_is_no_dry_run() -> None:
    done = planned("error: config/config.yaml: unknown key")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no jobs on standard input")
    assert planned("Nothing to be done (all requested files are present)").stdout == "Nothing to be done.\n"


@pytest.mark.slow
def test_what_snakemake_prints_is_understood(config: Config) -> None:
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--cores", "2"]
    printed = subprocess.run(
        [*command, "--config", "protocol=smoke", "--", "table1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    ).stdout
    jobs = plan.parse(printed)
    assert {job.outputs for job in jobs if job.rule == "condense"} == {
        frozenset(
            {
                f"results/smoke/synthetic/{s.dataset}/{s.method}/{s.network}/ipc{s.ipc}/seed{s.seed}.safetensors"
            }
        )
        for s in config.target_sets("table1")
    }
    amounts = plan.works(jobs, config)
    assert None not in [amount for _, amount in amounts]
