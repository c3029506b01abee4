"""The workflow: its plans, the jobs that a change repeats, its refusals. Stand-ins replace the scripts."""

from __future__ import annotations

import itertools
import re
import shlex
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from condensery.cost.plan import parse
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.synthetic import SyntheticSet
from tests.workflows import ROOT, benchmarked, costed, plan, project, refusal, snakemake

SMALL = """
description: small
sets: 1
networks: 3
whole_networks: 1
targets:
  table1: [{datasets: [digits], methods: [random, herding, dm, whole], ipc: [2]}]
  figure2: [{datasets: [digits], methods: [dm], ipc: [2]}]
  figure4: [{datasets: [digits], methods: [dm], ipc: [2], snapshots: 2}]
"""


SCRIPTS = (
    *("prepare", "pretrain", "condense", "gather", "evaluate"),
    *("table", "cost", "figure", "trajectory", "report"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the project with a small protocol and stand-ins for the scripts."""
    return project(tmp_path_factory.mktemp("workflow"), {"small": SMALL}, SCRIPTS)


@pytest.mark.slow
def test_the_papers_protocol_plans_every_cell_of_table_1(tmp_path: Path) -> None:
    project(tmp_path, {})
    planned = plan(tmp_path, "table1", "figure2", protocol="paper")
    # 6 data sets, 5 methods, 3 sizes, 5 seeds, 5 data sets with 2 methods more, 9 cells of DD and LD; the
    # sets of figure 2 are among them. The whole set is trained on in two recipes.
    jobs = {"prepare": 6, "pretrain": 30, "condense": 645, "evaluate": 1050, "evaluate_whole": 60}
    once = dict.fromkeys(("table", "cost", "figure", "table1", "figure2"), 1)
    assert planned == jobs | once | {"total": sum(jobs.values()) + len(once)}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["snakefile", "module"])
def test_the_workflow_plans_in_a_folder_elsewhere(way: str, tmp_path: Path) -> None:
    if way == "snakefile":
        prefix, options = "", ("--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path))
    else:
        prefix, options = "condensery_", ()
        module = f"module condensery:\n    snakefile: {str(ROOT / 'Snakefile')!r}\n    config: config\n"
        (tmp_path / "Snakefile").write_text(f"{module}\nuse rule * from condensery as condensery_*\n")
    output = snakemake(
        *(tmp_path, "--dry-run", "--printshellcmds", *options),
        targets=(f"{prefix}table1",),
        protocol="smoke",
    )
    planned = dict(re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE))
    assert {f"{prefix}{rule}" for rule in ("prepare", "condense", "evaluate", "table")} <= planned.keys()
    called = {Path(script) for script in re.findall(r"python (\S+\.py) ", output)}
    assert {script.name for script in called} >= {"prepare.py", "condense.py", "evaluate.py", "table.py"}
    assert all(script.is_absolute() and script.is_file() for script in called)
    written = re.findall(r"--out(?:-prefix)? (\S+)", output)
    assert all((tmp_path / path).is_relative_to(tmp_path) for path in written)


@pytest.mark.parametrize(
    ("targets", "condensed", "evaluated"),
    [
        # 6 networks, 5 seeds, 6 evaluation networks.
        (["dsa_cross_architecture"], 30, 180),
        # 4 data sets with 9 methods; 5 methods in 2 recipes; 5 seeds. On CIFAR-10, DSA and DSA without
        # augmentation, in their own recipes, are in both.
        pytest.param(["dsa_ablation", "dsa_siamese"], 180 + 25 - 10, 180 + 50 - 10, marks=pytest.mark.slow),
    ],
)
def test_targets_share_what_they_have_in_common(
    tmp_path: Path, targets: list[str], condensed: int, evaluated: int
) -> None:
    project(tmp_path, {})
    planned = plan(tmp_path, *targets, protocol="paper")
    assert (planned["condense"], planned["evaluate"], planned["table"]) == (
        condensed,
        evaluated,
        len(targets),
    )


@pytest.mark.slow
def test_no_target_is_all(folder: Path) -> None:
    planned = plan(folder, options=("--forceall",), protocol="small")
    assert planned["all"] == planned["table"] == planned["figure"] == planned["page"] == 1


@pytest.mark.slow
def test_classes_are_condensed_in_jobs_of_the_size_asked_for(folder: Path) -> None:
    planned = plan(folder, "table1", options=("--forceall",), protocol="small", classes_per_job=4)
    # Classes 0-3, 4-7 and 8-9 for each of three methods.
    assert (planned["condense_classes"], planned["gather"], planned.get("condense")) == (9, 3, None)
    # But a timed set is one job.
    planned = plan(folder, "figure4", options=("--forceall",), protocol="small", classes_per_job=4)
    assert (planned["trajectory"], planned["evaluate_snapshot"]) == (1, 2)


def test_a_protocol_may_split_some_data_sets_alone(folder: Path) -> None:
    protocol = yaml.safe_load(SMALL) | {"classes_per_job": {"mnist": 5}}
    protocol["targets"]["table1"] = [
        {"datasets": ["digits", "mnist"], "methods": ["random", "dm"], "ipc": [2]}
    ]
    path = folder / "config" / "protocols" / "part.yaml"
    path.write_text(yaml.safe_dump(protocol))
    planned = plan(folder, "table1", protocol="part")
    path.unlink()
    assert (planned["condense"], planned["condense_classes"], planned["gather"]) == (2, 4, 2)


def test_the_memory_of_a_job_is_that_of_its_own_classes(tmp_path: Path) -> None:
    project(tmp_path, {})
    output = snakemake(tmp_path, "--dry-run", targets=("imagenet",), protocol="paper")
    asked = [
        (job.rule, int(job.wildcards["ipc"]), int(job.resources["mem_mb"]))
        for job in parse(output)
        if job.rule in ("condense_classes", "gather")
    ]
    # 3 sizes, 2 methods, 5 seeds in ten jobs each, and one that gathers them.
    assert Counter(rule for rule, _, _ in asked) == {"condense_classes": 300, "gather": 30}
    image = 4 * 3 * 64 * 64 / 1e6
    for rule, ipc, memory in asked:
        held = ipc * image * (100 if rule == "condense_classes" else 1000)
        assert memory == pytest.approx(6000 + 4 * held, abs=2)


# Takes one of two simulated GPUs, and keeps it until another job has the other one. Records its index and the
# times of the start, of taking it, and of the end; all processes of a machine count these from one moment.
TAKER = """
import sys, time
from pathlib import Path
from condensery.machine import slots
began = time.monotonic()
slot = slots.take(["first", "second"])
took = time.monotonic()
out, taken = Path(sys.argv[sys.argv.index("--out") + 1]), Path("taken")
taken.mkdir(exist_ok=True)
(taken / out.name).touch()
pair = 2 if len(list(taken.iterdir())) <= 2 else 4
while len(list(taken.iterdir())) < pair and time.monotonic() < took + 600:
    time.sleep(0.05)
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(f"{slot.index} {began} {took} {time.monotonic()}")
"""


@pytest.mark.slow
def test_jobs_are_spread_over_the_gpus_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    project(tmp_path, {"small": SMALL}, SCRIPTS)
    (tmp_path / "scripts/condense.py").write_text(TAKER)
    results = "results/small/synthetic/digits/random/convnet/ipc3"
    targets = [f"{results}/seed{seed}.safetensors" for seed in range(4)]
    snakemake(tmp_path, "--cores", "8", targets=tuple(targets), protocol="small")
    jobs = sorted(tuple(map(float, (tmp_path / target).read_text().split())) for target in targets)
    assert [device for device, *_ in jobs] == [0, 0, 1, 1]
    for (device, *_, ended), (other, _, took, _) in itertools.pairwise(jobs):
        assert device != other or ended < took, "two jobs share a device"
    for _, now, _, _ in jobs:
        # None occupies cores while it waits for a device.
        assert sum(began <= now < ended for _, began, _, ended in jobs) <= 2, jobs


# Fails in its first two attempts.
FAILER = """
import sys
from pathlib import Path
out = Path(sys.argv[sys.argv.index("--out") + 1])
attempts = Path("attempts")
before = int(attempts.read_text()) if attempts.exists() else 0
attempts.write_text(str(before + 1))
if before < 2:
    sys.exit("the time is up")
out.parent.mkdir(parents=True, exist_ok=True)
out.touch()
"""


def test_a_job_that_is_tried_again_gets_more_time_and_memory(tmp_path: Path) -> None:
    project(tmp_path, {"small": SMALL}, SCRIPTS)
    (tmp_path / "scripts/condense.py").write_text(FAILER)
    target = "results/small/synthetic/digits/random/convnet/ipc2/seed0.safetensors"
    output = snakemake(tmp_path, "--cores", "1", "--retries", "2", targets=(target,), protocol="small")
    for resource in ("runtime", "mem_mb"):
        asked = [int(value) for value in re.findall(rf"ipc=2.*\n.*resources: .*\b{resource}=(\d+)", output)]
        first = asked[0]
        assert asked == [first, 2 * first, 3 * first], output
    # The set and its data.
    assert re.search(
        r"^The run takes about \d+ s by its plan. Jobs that compute: 1, 1 at once.$", output, re.MULTILINE
    )


@pytest.mark.slow
def test_classes_condensed_in_several_jobs_are_the_set_of_one_job(tmp_path: Path) -> None:
    steps = "methods: {dm: {parameters: {iterations: 4, batch_real: 16}}}\n"
    project(tmp_path, {"small": SMALL + steps})
    (tmp_path / "scripts").rmdir()
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    target = Path("results/small/synthetic/digits/dm/convnet/ipc2/seed0.safetensors")
    sets = []
    for split in ({}, {"classes_per_job": 4}):
        snakemake(tmp_path, "--cores", "2", targets=(str(target),), protocol="small", **split)
        sets.append(SyntheticSet.load(tmp_path / target))
        (tmp_path / target).unlink()
    together, gathered = sets
    assert torch.equal(together.images, gathered.images)
    assert torch.equal(together.labels, gathered.labels)
    logs = sorted(path.stem for path in (tmp_path / "results/small/logs/synthetic").rglob("classes*.log"))
    assert logs == ["classes0-3", "classes4-7", "classes8-9"]


def test_mistakes_are_one_line_before_any_job(folder: Path) -> None:
    assert refusal(folder, protocl="small").startswith("error: config/config.yaml: unknown key 'protocl'")
    wrong = folder / "config" / "protocols" / "wrong.yaml"
    wrong.write_text(SMALL.replace("herding", "hearding"))
    message = refusal(folder, protocol="wrong")
    wrong.unlink()
    assert message.startswith("error: config/protocols/wrong.yaml: targets.table1[0].methods: unknown method")
    assert not (folder / "results" / "wrong").exists()
    message = refusal(folder, "dsa_siamese", protocol="small")
    assert message.startswith("error: config/protocols/small.yaml: lists no target 'dsa_siamese'; add it")
    assert message.endswith("or one of table1, figure2, figure4")


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """Return the folder after a run of everything."""
    snakemake(folder, "--cores", "2", targets=("all",), protocol="small")
    return folder


HOSTILE = "da ta/x$(touch F)`touch F`;touch F&'quoted' \"twice\" *é"


@pytest.mark.slow
def test_the_shell_sees_every_value_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a project (mine) & 'yours' $HOME"
    folder.mkdir()
    project(folder, {"small": SMALL}, SCRIPTS)
    known = yaml.safe_load((folder / "config/config.yaml").read_text())
    (folder / "config/config.yaml").write_text(yaml.safe_dump(known | {"data_dir": HOSTILE}))
    printed = snakemake(folder, "--dry-run", "--printshellcmds", targets=("all",), protocol="small")
    commands = [shlex.split(each) for each in re.findall(r"python scripts/.*", printed)]
    prepared = [words for words in commands if "--prepared" in words]
    assert len(prepared) == 1 + 3 + 1 + 5 + 1 + 2  # features, sets, trajectory, evaluations, snapshots
    for words in prepared:
        assert words[words.index("--prepared") + 1] == f"{HOSTILE}/prepared/digits"
    features = "results/small/features/digits/convnet/seed0.safetensors"
    snakemake(folder, "--cores", "1", targets=(features,), protocol="small")
    assert f"--prepared {HOSTILE}/prepared/digits " in (folder / features).read_text()
    assert (folder / HOSTILE / "prepared/digits/info.json").is_file()
    assert not list(tmp_path.rglob("F"))


@pytest.mark.parametrize("data_dir", ["a{b}", "a\nb", ""])
def test_a_data_folder_that_cannot_be_in_a_rule_is_refused(data_dir: str) -> None:
    with pytest.raises(CondenseryError, match="data_dir: must be "):
        load_config(ROOT / "config", "smoke", {"data_dir": data_dir})


@pytest.mark.parametrize("name", ["x$(touch F)", "smoke\n", "a b", "a'b", "../smoke", "-n"])
def test_a_name_that_a_shell_might_misread_is_refused(name: str) -> None:
    with pytest.raises(CondenseryError, match="protocol: must be a name of lower-case letters"):
        load_config(ROOT / "config", name)


def test_results_lie_at_their_coordinates(finished: Path) -> None:
    results = finished / "results" / "small"
    files = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    expected = {
        "features/digits/convnet/seed0.safetensors",
        "synthetic/digits/random/convnet/ipc2/seed0.safetensors",
        "synthetic/digits/herding/convnet/ipc2/seed0.safetensors",
        "synthetic/digits/dm/convnet/ipc2/seed0.safetensors",
        "accuracy/digits/random/convnet/ipc2/seed0/dc-convnet.parquet",
        "accuracy/digits/random/convnet/ipc2/seed0/dsa-convnet.parquet",
        "accuracy/digits/herding/convnet/ipc2/seed0/dc-convnet.parquet",
        "accuracy/digits/herding/convnet/ipc2/seed0/dsa-convnet.parquet",
        "accuracy/digits/dm/convnet/ipc2/seed0/dsa-convnet.parquet",
        "accuracy/digits/whole/whole-convnet/seed0.parquet",
        *(f"tables/table1.{kind}" for kind in ("csv", "md", "tex", "json", "cost.csv", "cost.md")),
        *(f"figures/figure2.{kind}" for kind in ("png", "pdf")),
        *(f"trajectories/digits/dm/convnet/ipc2/seed0/step{step}.safetensors" for step in (10000, 20000)),
        "trajectories/digits/dm/convnet/ipc2/seed0/.snakemake_timestamp",
        *(
            f"trajectory_accuracy/digits/dm/convnet/ipc2/seed0/step{step}/dsa-convnet.parquet"
            for step in (10000, 20000)
        ),
        *(f"figures/figure4.{kind}" for kind in ("png", "pdf", "csv", "md")),
        *(f"settings/{target}.json" for target in ("table1", "figure2", "figure4")),
        "report.html",
    }
    assert {path for path in files if not path.startswith(("logs/", "benchmarks/"))} == expected
    # prepare, pretrain, 3 condense, 5 evaluate, evaluate_whole, table, figure, page, and for figure 4
    # trajectory, 2 evaluate_snapshot, figure_of_trajectories; the cost has only a log. Settings of 3 targets.
    for kind, count in (("logs", 15 + 4 + 3), ("benchmarks", 14 + 4)):
        assert len([path for path in files if path.startswith(f"{kind}/")]) == count
    assert (finished / "data" / "prepared" / "digits" / "info.json").exists()


def test_jobs_get_their_coordinates(finished: Path) -> None:
    results = finished / "results" / "small"
    condense = (results / "synthetic/digits/herding/convnet/ipc2/seed0.safetensors").read_text().split()
    assert dict(zip(condense[::2], condense[1::2], strict=True)) == {
        "--data": "digits",
        "--prepared": "data/prepared/digits",
        "--method": "herding",
        "--network": "convnet",
        "--ipc": "2",
        "--seed": "0",
        "--protocol": "small",
        "--device": "auto",
        "--threads": "2",
        "--with": "features=results/small/features/digits/convnet/seed0.safetensors",
        "--out": "results/small/synthetic/digits/herding/convnet/ipc2/seed0.safetensors",
    }
    evaluate = (results / "accuracy/digits/dm/convnet/ipc2/seed0/dsa-convnet.parquet").read_text()
    assert "--recipe dsa --networks 3 " in evaluate
    snapshot = "digits/dm/convnet/ipc2/seed0/step10000"
    evaluate = (results / f"trajectory_accuracy/{snapshot}/dsa-convnet.parquet").read_text()
    assert f"--synthetic results/small/trajectories/{snapshot}.safetensors " in evaluate
    assert "--recipe dsa --networks 3 " in evaluate
    assert "--rows results/small/trajectory_accuracy " in (results / "figures/figure4.csv").read_text()
    assert "--rows results/small/accuracy --only-target" in (results / "tables/table1.csv").read_text()


def test_the_cost_of_a_table_is_that_of_all_its_jobs(finished: Path, tmp_path: Path) -> None:
    benchmarks = benchmarked(finished, "prepare", "features", "synthetic", "accuracy")
    assert costed(finished, "table1", tmp_path / "cost") == benchmarks


def test_nothing_is_repeated_without_a_reason(finished: Path) -> None:
    assert plan(finished, "all", protocol="small") == {}
    # Neither the device of a job nor new times of unchanged files repeat it.
    (finished / "results/small/synthetic/digits/dm/convnet/ipc2/seed0.safetensors").touch()
    assert plan(finished, "all", protocol="small", device="cpu", gpu=1) == {}


DM_STEPS = "iterations: 20000\n    lr_img: 1.0\n    momentum: 0.5      # of the pixels' SGD"


@pytest.mark.parametrize(
    ("file", "old", "new", "repeated"),
    [
        ("protocols/small.yaml", "networks: 3", "networks: 4", {"evaluate": 5}),
        pytest.param("recipes.yaml", "epochs: 300", "epochs: 301", {"evaluate": 2}, marks=pytest.mark.slow),
        pytest.param(
            "methods.yaml",
            DM_STEPS,
            DM_STEPS.replace("20000", "20001"),
            {"condense": 1, "evaluate": 1},
            marks=pytest.mark.slow,
        ),
        pytest.param("methods.yaml", "title: Herding", "title: herding", {}, marks=pytest.mark.slow),
        # Another source of the same images repeats no job.
        ("datasets.yaml", "- {kind: digits}", "- {kind: digits}\n    - {kind: idx, path: x}", None),
    ],
)
def test_a_change_repeats_what_depends_on_it(
    finished: Path, file: str, old: str, new: str, repeated: dict[str, int] | None
) -> None:
    path = finished / "config" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        jobs = plan(finished, "table1", protocol="small")
    finally:
        path.write_text(text)
    if repeated is None:
        assert jobs == {}
    else:
        once = {"table": 1, "cost": 1, "table1": 1}
        assert jobs == repeated | once | {"total": sum(repeated.values()) + 3}


def test_rows_that_a_job_is_writing_are_not_read(tmp_path: Path) -> None:
    project(tmp_path, {})
    # A file that gets its final name after the folder was listed.
    being_written = tmp_path / "results/smoke/accuracy/.partial-00000000-dsa-convnet.parquet"
    being_written.parent.mkdir(parents=True)
    being_written.symlink_to("gone")
    assert plan(tmp_path, "reproduction") == {"reproduction": 1, "total": 1}


def test_the_slurm_profile_knows_the_rules_that_use_a_gpu() -> None:
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    each = re.split(r"^ *rule\b", rules, flags=re.MULTILINE)[1:]
    asking = {rule.split(":")[0].strip() for rule in each if "**GPU_JOB" in rule or "gpu=GPU" in rule}
    if "" in asking:  # the rule that is named after the keys of TRAINED
        asking = asking - {""} | set(re.findall(r'TRAINED\["(\w+)"\]', rules))
    asking |= {new for old, new in re.findall(r"use rule (\w+) as (\w+)", rules) if old in asking}
    profile = (ROOT / "workflow/profiles/slurm/config.yaml").read_text()
    assert set(re.findall(r"^#   (\w+): \{gpu: 0, gres: ", profile, re.MULTILINE)) == asking


@pytest.mark.slow
def test_the_snakemake_report_has_captions_and_labels(finished: Path) -> None:
    snakemake(finished, "--report", "report.zip", targets=("table1", "figure2"), protocol="small")
    with zipfile.ZipFile(finished / "report.zip") as archive:
        text = "".join(archive.read(name).decode(errors="replace") for name in archive.namelist())
    for words in ("population standard deviation", "one panel per set", "Markdown", "Figures"):
        assert words in text
