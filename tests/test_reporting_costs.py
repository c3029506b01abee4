"""The costs of a table: the recorded times and memory of its jobs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from condensery.errors import CondenseryError
from condensery.experiment import Config, load_config
from condensery.experiment.jobs import JobId, jobs_of
from condensery.reporting import costs, published
from condensery.reporting.labels import Labels
from condensery.rows import SCHEMA, write_rows

ROOT = Path(__file__).resolve().parents[1]

BENCHMARK = """\
s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time
{seconds}\t0:10:00\t{memory}\t4100.5\t560.0\t630.0\t360.0\t6.2\t77.0\t{cpu}
"""

LABELS = Labels("smoke", datasets={"digits": "Handwritten digits"})
KNOWN = published.costs(ROOT / "config" / "published")

SET = JobId("condense", "digits", "dm", 2, "convnet", "synthetic/digits/dm/convnet/ipc2/seed0")
EVALUATION = JobId(
    "evaluate", "digits", "dm", 2, "convnet", "accuracy/digits/dm/convnet/ipc2/seed0/dsa-convnet"
)


def record(results: Path, path: str, seconds: float, memory: object, cpu: float, log: str) -> Path:
    benchmark = results / "benchmarks" / f"{path}.tsv"
    benchmark.parent.mkdir(parents=True, exist_ok=True)
    benchmark.write_text(BENCHMARK.format(seconds=seconds, memory=memory, cpu=cpu))
    written = results / "logs" / f"{path}.log"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(log)
    return benchmark


@pytest.fixture
def config() -> Config:
    small = {
        "sets": 2,
        "networks": 1,
        "whole_networks": 1,
        "targets": {
            "table1": [{"datasets": ["digits"], "methods": ["herding", "whole"], "ipc": [2]}],
        },
        "continual": {
            "continual5": {
                "dataset": "digits",
                "methods": ["dsa", "dm"],
                "ipc": 2,
                "steps": 5,
                "orders": 1,
                "networks": 1,
            },
        },
        "search": {
            "dataset": "digits",
            "proxies": ["dm", "early_stopping"],
            "ipc": 3,
            "networks": 5,
            "repeats": 1,
            "validation": 0.1,
            "seed": 0,
            "networks_per_job": 3,
        },
    }
    return replace(load_config(ROOT / "config", "smoke"), spec=small)


def test_jobs_behind_a_table(config: Config) -> None:
    jobs = jobs_of(config, "table1")
    assert [(job.rule, job.path) for job in jobs] == [
        ("prepare", "prepare/digits"),
        ("pretrain", "features/digits/convnet/seed0"),
        ("condense", "synthetic/digits/herding/convnet/ipc2/seed0"),
        ("pretrain", "features/digits/convnet/seed1"),
        ("condense", "synthetic/digits/herding/convnet/ipc2/seed1"),
        ("evaluate", "accuracy/digits/herding/convnet/ipc2/seed0/dc-convnet"),
        ("evaluate", "accuracy/digits/herding/convnet/ipc2/seed0/dsa-convnet"),
        ("evaluate", "accuracy/digits/herding/convnet/ipc2/seed1/dc-convnet"),
        ("evaluate", "accuracy/digits/herding/convnet/ipc2/seed1/dsa-convnet"),
        ("evaluate_whole", "accuracy/digits/whole/whole-convnet/seed0"),
    ]


def test_jobs_behind_continual_learning(config: Config) -> None:
    folder = "continual/digits/steps5/dsa/convnet/ipc2/order0"
    other = "continual/digits/steps5/dm/convnet/ipc2/order0"
    assert [job.path for job in jobs_of(config, "continual5")] == [
        "prepare/digits",
        *(f"{folder}/step{step}" for step in range(5)),
        f"{folder}/accuracy",
        "synthetic/digits/dm/convnet/ipc2/seed0",  # one set for all steps
        f"{other}/accuracy",
    ]


def test_jobs_behind_the_architecture_search(config: Config) -> None:
    jobs = jobs_of(config, "table5")
    folder = "search/accuracy/digits"
    assert [job.path for job in jobs] == [
        "prepare/digits",
        "search/synthetic/digits/dm/convnet/ipc3/seed0",
        *(f"{folder}/dm/ipc3/{part}-of-2" for part in (1, 2)),
        *(f"{folder}/early_stopping/ipc3/{part}-of-2" for part in (1, 2)),
        *(f"{folder}/whole/{part}-of-2" for part in (1, 2)),
        "search/chosen/digits",
    ]


def test_networks_that_a_set_is_condensed_with_are_behind_its_table() -> None:
    config = load_config(ROOT / "config", "smoke")
    jobs = jobs_of(config, "table4")
    parts = {job.path for job in jobs if job.rule == "pool"}
    assert parts == {f"pool/digits/convnet/{part}" for part in config.pool.parts()}
    last, first = max(i for i, job in enumerate(jobs) if job.rule == "pool"), jobs[0].rule
    assert first == "prepare"
    assert last < min(i for i, job in enumerate(jobs) if job.rule == "evaluate")


def test_generators_are_behind_the_table_of_their_sets() -> None:
    jobs = jobs_of(load_config(ROOT / "config", "smoke"), "table6")
    paths = [job.path for job in jobs if job.rule == "generator"]
    assert paths == [f"generators/digits/{name}/seed0" for name in ("gmmn", "vae", "biggan")]


def test_a_table_that_the_protocol_does_not_list_is_refused(config: Config) -> None:
    with pytest.raises(CondenseryError, match="table2"):
        jobs_of(config, "table2")


def test_what_a_job_recorded(tmp_path: Path) -> None:
    log = "12:00:01 device: NVIDIA H200, fp32\ndm digits 10/10\n"
    record(tmp_path, SET.path, 600.25, 1245.55, 441.5, log)
    (line,) = costs.read(tmp_path, [SET]).to_dict("records")
    assert (line["seconds"], line["cpu_seconds"], line["memory_mb"]) == (600.25, 441.5, 1245.55)
    assert (line["device"], line["source"]) == ("NVIDIA H200, fp32", "benchmark")


def test_memory_of_the_device_is_in_a_column_where_there_is_any(tmp_path: Path) -> None:
    log = "12:00:01 device: NVIDIA H200, fp32\n12:09:01 memory at its peak: 900 MB of the host"
    record(tmp_path, SET.path, 600.0, 1000, 441.5, log + ", 345 MB of the device, which holds 512 MB\n")
    write_evaluation(tmp_path, train_seconds=20.0, device="A", precision="fp32", device_mb=1234.0)
    frame = costs.read(tmp_path, [SET, EVALUATION])
    assert frame["device_mb"].tolist() == [345.0, 1234.0]
    assert frame["device_reserved_mb"].tolist()[0] == 512.0
    costs.write(frame, "Costs", LABELS, tmp_path / "cost", KNOWN.iloc[:0])
    *_, heads, _, condensing, evaluating = (tmp_path / "cost.md").read_text().splitlines()
    assert heads.rstrip(" |").endswith("| Peak on the device")
    assert (condensing.split("|")[-2].strip(), evaluating.split("|")[-2].strip()) == ("345 MB", "1,234 MB")


def test_a_job_too_short_to_be_measured_has_no_memory(tmp_path: Path) -> None:
    record(tmp_path, SET.path, 0.2, "-", 0, "")
    (line,) = costs.read(tmp_path, [SET]).to_dict("records")
    assert line["seconds"] == 0.2
    assert pd.isna(line["memory_mb"])


def test_a_job_that_was_split_has_a_line_for_each_part(tmp_path: Path) -> None:
    for part, seconds in (("0-4", 30.0), ("5-9", 40.0)):
        record(tmp_path, f"{SET.path}/classes{part}", seconds, 100, 20, "device: cpu, fp32")
    frame = costs.read(tmp_path, [SET])
    assert frame["path"].tolist() == [f"{SET.path}/classes0-4", f"{SET.path}/classes5-9"]
    assert frame["seconds"].sum() == 70


@pytest.mark.parametrize(("latest", "seconds"), [("split", 30.0), ("whole", 90.0)])
def test_of_two_ways_the_latest_counts(tmp_path: Path, latest: str, seconds: float) -> None:
    benchmarks = {
        "split": record(tmp_path, f"{SET.path}/classes0-9", 30.0, 100, 20, ""),
        "whole": record(tmp_path, SET.path, 90.0, 100, 20, ""),
    }
    for way, file in benchmarks.items():
        os.utime(file, (2000, 2000) if way == latest else (1000, 1000))
    assert costs.read(tmp_path, [SET])["seconds"].tolist() == [seconds]


def write_evaluation(results: Path, **values: object) -> None:
    empty = {"string": "", "int64": 0, "double": 0.0}
    row = {field.name: empty[str(field.type)] for field in SCHEMA} | values
    rows = [row | {"network_seed": seed} for seed in range(3)]
    write_rows(rows, results / f"{EVALUATION.path}.parquet")


def test_rows_stand_in_for_the_benchmark_of_what_was_fetched(tmp_path: Path) -> None:
    machine = {"device": "cpu (EPYC)", "precision": "bf16"}
    write_evaluation(tmp_path, train_seconds=20.0, test_seconds=5.0, **machine)
    known, unknown = costs.read(tmp_path, [EVALUATION, SET]).to_dict("records")
    assert (known["seconds"], known["device"], known["source"]) == (75.0, "cpu (EPYC), bf16", "rows")
    assert pd.isna([known["memory_mb"], unknown["seconds"]]).all()
    assert (unknown["device"], unknown["source"]) == ("", "")


def test_the_page_adds_up_a_cell_and_says_what_is_known(tmp_path: Path) -> None:
    seeds = [SET._replace(path=f"synthetic/digits/dm/convnet/ipc2/seed{seed}") for seed in range(3)]
    record(tmp_path, seeds[0].path, 60, 1000, 50, "device: A, fp32")
    record(tmp_path, seeds[1].path, 180, 3000, 150, "device: B, fp32")
    write_evaluation(tmp_path, train_seconds=20.0, device="A", precision="fp32")
    costs.write(costs.read(tmp_path, [*seeds, EVALUATION]), "Costs", LABELS, tmp_path / "table1.cost", KNOWN)
    page = (tmp_path / "table1.cost.md").read_text()
    assert "Jobs with a benchmark: 2 of 4." in page
    assert "with the time of training and testing from the rows: 1." in page
    assert "with unknown cost: 1." in page
    assert "Total: 2 min 00 s on A, fp32. Total: 3 min 00 s on B, fp32." in page
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()[-2:]]
    assert lines == [
        [
            "condense",
            "Handwritten digits",
            "dm",
            "2",
            "convnet",
            "2 of 3",
            "2 min 00 s",
            "3 min 00 s",
            "3,000 MB",
        ],
        ["evaluate", "Handwritten digits", "dm", "2", "convnet", "1 of 1", "1 min 00 s", "1 min 00 s", ""],
    ]
    again = pd.read_csv(tmp_path / "table1.cost.csv")
    assert tuple(again.columns) == costs.COLUMNS
    assert again["seconds"].tolist()[:2] == [60, 180]


def test_published_times_stand_beside_those_of_sets_of_the_same_sizes(tmp_path: Path) -> None:
    sets = [
        JobId(
            "condense", "tinyimagenet", "dm", ipc, "convnet-d4", f"synthetic/tinyimagenet/ipc{ipc}/seed{seed}"
        )
        for ipc in (1, 10, 50)
        for seed in range(2)
    ]
    for job, seconds in zip(sets[1:], (60, 100, 140, 200), strict=False):
        record(tmp_path, job.path, seconds, 1000, seconds, "device: A, fp32")
    # The second set of 50 was condensed in two parts; the first set of 1 has no record.
    for part, seconds in (("classes0-99", 300), ("classes100-199", 500)):
        record(tmp_path, f"{sets[-1].path}/{part}", seconds, 1000, seconds, "device: A, fp32")
    costs.write(costs.read(tmp_path, sets), "Costs", LABELS, tmp_path / "cost", KNOWN)
    text = (tmp_path / "cost.md").read_text()
    (line,) = [line for line in text.splitlines() if "Tesla V100" in line]
    entries = [cell.strip() for cell in line.strip("|").split("|")]
    assert entries[2:4] == ["1 + 10 + 50", "1 d 03 h"]
    assert entries[5:] == ["11 min 20 s", "A, fp32"]  # means of 60, 120 and 500 s
    costs.write(costs.read(tmp_path, sets[2:]), "Costs", LABELS, tmp_path / "cost", KNOWN)
    assert "published" not in (tmp_path / "cost.md").read_text()


def test_where_nothing_was_recorded_the_page_says_so(tmp_path: Path) -> None:
    costs.write(costs.read(tmp_path, [SET]), "Costs", LABELS, tmp_path / "cost", KNOWN)
    page = (tmp_path / "cost.md").read_text()
    assert "Jobs with a benchmark: 0 of 1." in page
    assert "with unknown cost: 1." in page


def test_a_benchmark_that_is_none_is_named(tmp_path: Path) -> None:
    record(tmp_path, SET.path, 1, 1, 1, "").write_text("nothing\n")
    with pytest.raises(CondenseryError, match=r"seed0\.tsv: not a benchmark of Snakemake"):
        costs.read(tmp_path, [SET])
