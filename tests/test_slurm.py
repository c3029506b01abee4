"""The workflow on a real Slurm: a cluster of several nodes on this machine (tests/cluster.py)."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from condensery.experiment import load_config
from condensery.reporting.tables import read_cells
from condensery.synthetic import SyntheticSet
from tests import cluster as clusters
from tests.cluster import Cluster, wait

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ["Snakefile", "benchmarks", "config", "environment.yml", "profiles", "scripts", "slurm", "workflow"]

# Incident -> the set that it interrupts, by its images per class.
SETS = CANCELLED, TOO_LONG, PREEMPTED, NODE_DIED = 1, 2, 3, 4
FINISHED = 0
# Records every step. The set that exceeds its time limit sleeps longer: with the shortest limit, a minute,
# Slurm may end a job only after two minutes.
SLOW = f"""
import runpy, sys, time
from pathlib import Path
from condensery.run import Checkpoint

ipc, save = sys.argv[sys.argv.index("--ipc") + 1], Checkpoint.save
done, seconds = Path("steps") / ipc, 5 if ipc == "{TOO_LONG}" else 2

def note(self, step, state):
    save(self, step, state)
    with done.open("a") as file:
        print(step, file=file)
    time.sleep(seconds)

Checkpoint.due, Checkpoint.save = (lambda self: True), note
runpy.run_path("scripts/condense_at_full_speed.py", run_name="__main__")
"""
STEPS = 35

PROTOCOL = f"""
description: small
sets: 1
networks: 1
whole_networks: 1
methods:
  dm:
    parameters: {{iterations: {STEPS}, batch_real: 8}}
targets:
  table1: [{{datasets: [digits], methods: [random, dm], ipc: [1, 2, 3, 4]}}]
  figure2: [{{datasets: [digits], methods: [dm], ipc: [1]}}]
"""
# Jobs of every rule that table1 needs, each as short as it can be.
TABLE = """
description: a table
sets: 2
networks: 1
whole_networks: 1
methods:
  dm: {parameters: {iterations: 2, batch_real: 8}}
recipes:
  dsa: &once {parameters: {epochs: 1}}
  dc: *once
  whole: *once
  features: *once
targets:
  table1: [{datasets: [digits], methods: [random, herding, dm, whole], ipc: [1]}]
"""
SET = "results/small/synthetic/digits/{method}/convnet/ipc{ipc}/seed0.safetensors"

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(clusters.absent()), reason="Slurm is not installed: make install-slurm, as root"),
]


@contextlib.contextmanager
def running(nodes: int) -> Iterator[Cluster]:
    """Run a cluster until the end of the context."""
    # Not one of pytest's folders, which other users cannot enter: all users must reach munge's socket.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder), nodes)
        try:
            cluster.up()
            yield cluster
        finally:
            cluster.down()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a running cluster."""
    with running(nodes=5) as cluster:
        yield cluster


def copy_project(folder: Path) -> Path:
    """Copy the project, and add the protocols of these tests."""
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder / name, follow_symlinks=False)
    (folder / "config/protocols/small.yaml").write_text(PROTOCOL)
    (folder / "config/protocols/table.yaml").write_text(TABLE)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the project."""
    return copy_project(tmp_path)


class Run:
    """A run of `snakemake --profile slurm` in the project's root, with intervals for a small cluster.

    Args:
        cluster: the cluster that runs the jobs.
        project: the folder.
        words: the rest of the command line.

    Attributes:
        project: the folder.
    """

    def __init__(self, cluster: Cluster, project: Path, *words: str) -> None:
        self._cluster, self._before = cluster, max(cluster.jobs(), default=0)
        self.project, self._output = project, project / "output"
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--latency-wait", "5"]
        command += ["--slurm-init-seconds-before-status-checks", "5", *words]
        environment = os.environ | cluster.variables | {"PYTHONPATH": str(ROOT / "src")}
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command, cwd=project, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def finish(self, seconds: float = 900) -> int:
        """Wait for the end and return the exit status."""
        try:
            return self._process.wait(seconds)
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop Snakemake immediately."""
        self._process.kill()

    def output(self) -> str:
        """Return what Snakemake has printed."""
        return self._output.read_text()

    def jobs(self, name: str = "") -> dict[int, dict[str, str]]:
        """Return Slurm's records of this run's jobs, in order, whose comments end with ``name``."""
        records = self._cluster.jobs().items()
        return {n: r for n, r in records if n > self._before and r.get("Comment", "").endswith(name)}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return a run of table1 on a separate cluster; it continues during other tests."""
    with running(nodes=3) as cluster:
        project = copy_project(tmp_path_factory.mktemp("table"))
        run = Run(cluster, project, "--config", "protocol=table", "--", "table1")
        try:
            yield run
        finally:
            run.stop()


@dataclass
class Incidents:
    """A run with incidents, one per set: a canceled job, a time limit, a preemption and a failing node.

    Attributes:
        project: the folder.
        jobs: incident -> Slurm's records of the jobs that made its set.
        status: the exit status of Snakemake.
        told: what it printed.
    """

    project: Path
    jobs: dict[int, list[dict[str, str]]]
    status: int
    output: str


@pytest.fixture(scope="module")
def incidents(cluster: Cluster, table: Run, tmp_path_factory: pytest.TempPathFactory) -> Incidents:
    """Make four sets, each of which is interrupted, and one that is not.

    These jobs mostly wait; the fixture ``table`` is requested so that its run starts before.
    """
    project = copy_project(tmp_path_factory.mktemp("incidents"))
    (project / "scripts/condense.py").rename(project / "scripts/condense_at_full_speed.py")
    (project / "scripts/condense.py").write_text(SLOW)
    (project / "steps").mkdir()
    minute = f"condense:runtime=attempt if wildcards.ipc == '{TOO_LONG}' else 10"
    finished = SET.format(method="random", ipc=1)
    sets = [SET.format(method="dm", ipc=ipc) for ipc in SETS]
    options = ["--config", "protocol=small", "--set-resources", minute]
    run = Run(cluster, project, *options, "--", finished, *sets)

    def jobs(ipc: int) -> dict[int, dict[str, str]]:
        return run.jobs(f"condense-digits-dm-convnet-ipc{ipc}_condense")

    # On a busy machine the set that exceeds its limit may reach it before its first step.
    begun = [ipc for ipc in SETS if ipc != TOO_LONG]
    wait(lambda: all(len(steps(project, ipc)) > 2 for ipc in begun), "not all sets have begun", 300)
    wait((project / finished).exists, "the short job does not end", 300)
    cluster.run("scancel", str(*jobs(CANCELLED)))
    ((preempted, record),) = jobs(PREEMPTED).items()
    node = f"--nodelist={record['NodeList']}"
    cluster.run("sbatch", "--partition=urgent", node, "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    ((orphan, record),) = jobs(NODE_DIED).items()
    cluster.fail(record["NodeList"])
    release(cluster, preempted)
    release(cluster, orphan)
    status = run.finish()
    cluster.start(record["NodeList"])
    records = {ipc: list(jobs(ipc).values()) for ipc in SETS}
    records[FINISHED] = list(run.jobs("condense-digits-random-convnet-ipc1_condense").values())
    return Incidents(project, records, status, run.output())


def release(cluster: Cluster, number: int) -> None:
    """Start a requeued job, which Slurm would delay by two minutes."""
    wait(lambda: cluster.jobs()[number]["Restarts"] == "1", f"job {number} is not queued again", 300)
    cluster.run("scontrol", "update", f"JobId={number}", "StartTime=now")


def steps(project: Path, ipc: int) -> list[int]:
    """Return the steps of a set by all its jobs, in order."""
    path = project / "steps" / str(ipc)
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def states(jobs: list[dict[str, str]]) -> list[str]:
    return [record["JobState"] for record in jobs]


def rule_of(record: dict[str, str]) -> str:
    """Return the rule of a job, or of jobs that share a submission, from the comment of the executor."""
    found = re.match(r"rule_([a-z_]+?)(-|_wildcards_)", record["Comment"])
    assert found, record["Comment"]
    return found[1]


def test_a_cancelled_job_is_submitted_again(incidents: Incidents) -> None:
    assert incidents.status == 0, incidents.output
    assert states(incidents.jobs[CANCELLED]) == ["CANCELLED", "COMPLETED"]


def test_a_job_that_takes_too_long_gets_more_time(incidents: Incidents) -> None:
    jobs = incidents.jobs[TOO_LONG]
    assert set(states(jobs[:-1])) == {"TIMEOUT"}
    assert jobs[-1]["JobState"] == "COMPLETED"
    assert [record["TimeLimit"] for record in jobs[:2]] == ["00:01:00", "00:02:00"]
    asked = [int(record["MinMemoryNode"].rstrip("M")) for record in jobs]
    assert asked == [asked[0] * attempt for attempt in range(1, len(jobs) + 1)]


@pytest.mark.parametrize("incident", [PREEMPTED, NODE_DIED])
def test_slurm_starts_the_same_job_again(incidents: Incidents, incident: int) -> None:
    (record,) = incidents.jobs[incident]
    assert (record["JobState"], record["Restarts"]) == ("COMPLETED", "1")


# Condenses all sets in one process.
UNDISTURBED = """
import contextlib, runpy, sys
for ipc in sys.argv[1:]:
    words = f"--data digits --method dm --ipc {ipc} --seed 0 --protocol small"
    sys.argv[1:] = [*words.split(), "--out", f"undisturbed/{ipc}.safetensors"]
    with contextlib.suppress(SystemExit):
        runpy.run_path("scripts/condense_at_full_speed.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def undisturbed(incidents: Incidents) -> Path:
    """Return the folder of the sets of runs without incidents, named by images per class."""
    subprocess.run(
        [sys.executable, "-c", UNDISTURBED, *map(str, SETS)],
        cwd=incidents.project,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
    )
    return incidents.project / "undisturbed"


@pytest.mark.parametrize("incident", SETS)
def test_interrupted_jobs_resume(incidents: Incidents, undisturbed: Path, incident: int) -> None:
    done = steps(incidents.project, incident)
    assert done == sorted(set(done)), "steps were repeated"
    assert done[-1] == STEPS
    resumed = SyntheticSet.load(incidents.project / SET.format(method="dm", ipc=incident))
    assert torch.equal(resumed.images, SyntheticSet.load(undisturbed / f"{incident}.safetensors").images)


def test_finished_work_is_not_repeated(incidents: Incidents) -> None:
    assert states(incidents.jobs[FINISHED]) == ["COMPLETED"]


def test_the_log_of_a_failed_job_is_where_snakemake_says(cluster: Cluster, project: Path) -> None:
    datasets = project / "config/datasets.yaml"
    datasets.write_text(datasets.read_text().replace("train: 0505136f", "train: 00000000"))
    target = SET.format(method="random", ipc=1)
    run = Run(cluster, project, "--config", "protocol=small", "--retries", "0", "--", target)
    assert run.finish() != 0
    ((number, record),) = run.jobs().items()
    assert record["JobState"] == "FAILED"
    output = run.output()
    (log,) = set(re.findall(r"^ *log: (results/[^ ,]+).* \(check log file", output, re.MULTILINE))
    assert "error: digits: the train images" in (project / log).read_text()
    (slurm_log,) = set(re.findall(rf"\S*/{number}\.log", output))
    assert "Error in rule prepare" in Path(slurm_log).read_text()


def test_a_cluster_may_want_gres(cluster: Cluster, project: Path) -> None:
    profile = (ROOT / "workflow/profiles/slurm/config.yaml").read_text()
    (commented,) = re.findall(r"^# (set-resources:\n(?:#   .*\n)+)", profile, re.MULTILINE)
    asked = yaml.safe_load(commented.replace("\n#", "\n"))["set-resources"]["condense"]
    words = [f"condense:{name}={value}" for name, value in asked.items()]
    target = SET.format(method="random", ipc=1)
    run = Run(cluster, project, "--config", "protocol=small", "--set-resources", *words, "--", target)
    assert run.finish() == 0, run.output()
    (record,) = run.jobs("_condense").values()
    assert record["TresPerNode"] == "gres:gpu:1"
    assert "TresPerJob" not in record


def test_table1_runs_on_the_cluster_with_the_resources_asked_for(table: Run) -> None:
    assert table.finish() == 0, table.output()
    cells = read_cells(table.project / "results/table/tables/table1.csv")
    config = load_config(table.project / "config", "table")
    sets = config.target_sets("table1")
    assert set(cells.loc[cells["networks"] > 0, "method"]) == {s.method for s in sets} | {"whole"}
    jobs = list(table.jobs().values())
    assert set(states(jobs)) == {"COMPLETED"}
    rules = {name: [r for r in jobs if rule_of(r) == name] for name in map(rule_of, jobs)}
    assert set(rules) == {"prepare", "pretrain", "condense", "evaluate", "evaluate_whole"}
    threads = {"evaluate_whole": config.settings["threads"]["pretrain"]} | config.settings["threads"]
    for name, records in rules.items():
        gpu = "" if name == "prepare" else "gres:gpu:1"
        assert {record.get("TresPerJob", "") for record in records} == {gpu}
        assert {record["CPUs/Task"] for record in records} == {str(threads[name])}
    assert len({record["NodeList"] for record in jobs}) > 1
    assert len(rules["condense"]) < len(sets), "short jobs do not share submissions"
