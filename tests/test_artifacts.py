"""Artifacts under DVC: files that a clone fetches, transfer between clones, the stages of dvc.yaml."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from condensery.cost import plan
from condensery.synthetic import SyntheticSet
from tests import sshd, stages

ROOT = Path(__file__).resolve().parents[1]
RELEASED = Path("results/laptop")
SET = Path("results/small/synthetic/digits/dm/convnet/ipc1/seed0.safetensors")

PROTOCOL = """\
description: small
sets: 1
networks: 1
whole_networks: 1
methods: {dm: {parameters: {iterations: 2, batch_real: 8}}}
recipes: {dsa: {parameters: {epochs: 1}}}
targets:
  table1: [{datasets: [digits], methods: [dm], ipc: [1]}]
  figure2: [{datasets: [digits], methods: [dm], ipc: [1]}]
"""
PARAMS = """\
protocol: small
snakemake: --cores 2
tables: [table1]
figures: [figure2]
"""


TOUCH = "snakemake --touch --cores 1 --quiet all --config protocol={protocol} -- all"


class Clone:
    """A clone of a repository, and a home folder without any settings of the user.

    Args:
        source: the repository.
        folder: parent of the clone and of the home folder.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        self.path = folder / "clone"
        self._home = folder / "home"
        (self._home / ".ssh").mkdir(parents=True)
        subprocess.run(["git", "clone", "--quiet", str(source), str(self.path)], check=True)

    def run(self, command: str, fails: bool = False) -> str:
        """Run a command in the clone and return what it prints."""
        names = {
            f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment = os.environ | names
        environment |= {"HOME": str(self._home), "PYTHONPATH": str(ROOT / "src")}
        environment |= {"DVC_SITE_CACHE_DIR": str(self._home), "DVC_NO_ANALYTICS": "1"}
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode != 0) == fails, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def planned(self, protocol: str, *targets: str) -> list[plan.Job]:
        """Return the jobs that Snakemake would run."""
        output = self.run(
            f"snakemake --dry-run --cores 1 --config protocol={protocol} -- {' '.join(targets)}"
        )
        assert "This was a dry-run" in output or "Nothing to be done" in output, output
        return plan.parse(output)

    def reach(self, remote: Remote) -> None:
        """Add a remote named `lab` to the clone, as docs/artifacts.md describes."""
        self.run(f"dvc remote add --local lab {remote.url}")
        self.run("dvc remote modify --local lab verify true")
        if remote.key:
            self.run(f"dvc remote modify --local lab keyfile {remote.key}")
            (self._home / ".ssh" / "known_hosts").write_text(remote.known_hosts)

    def files(self, folder: Path) -> list[str]:
        """Return the files in a folder of the clone, at any depth."""
        return sorted(str(p.relative_to(self.path)) for p in (self.path / folder).rglob("*") if p.is_file())


def test_stages_are_the_targets_of_the_protocol() -> None:
    text = stages.PARAMS.read_text()
    assert text == stages.with_targets(text), "python -m tests.stages writes the targets"


def test_locked_stages_are_stages() -> None:
    params, lock = (yaml.safe_load((ROOT / name).read_text()) for name in ("params.yaml", "dvc.lock"))
    stages_of = {f"{key}@{name}" for key in ("tables", "figures") for name in params[key]}
    assert set(lock["stages"]) <= stages_of


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Return a clone of the project."""
    return Clone(ROOT, tmp_path_factory.mktemp("fresh"))


@pytest.mark.slow
def test_one_method_of_one_data_set_is_fetched_alone(fresh: Clone) -> None:
    wanted = RELEASED / "synthetic/cifar10/dm"
    fresh.run(f"dvc pull {wanted}")
    fetched = fresh.files(RELEASED / "synthetic")
    assert fetched
    assert all(path.startswith(str(wanted)) for path in fetched)
    assert SyntheticSet.load(fresh.path / fetched[0]).provenance["experiment"]["method"] == "dm"
    assert not (fresh.path / RELEASED / "accuracy").exists()


@pytest.mark.slow
def test_what_was_fetched_is_not_made_again(fresh: Clone) -> None:
    fresh.run("dvc pull")
    fetched = {path for path in fresh.files(RELEASED) if path.endswith((".parquet", ".safetensors"))}
    fresh.run(TOUCH.format(protocol="laptop"))
    outputs = {path for job in fresh.planned("laptop", "table1", "dsa_siamese") for path in job.outputs}
    assert not outputs & fetched
    assert fresh.run("git status --porcelain") == ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Return a clone after `dvc repro` of a protocol that takes seconds; its tables are committed."""
    clone = Clone(ROOT, tmp_path_factory.mktemp("made"))
    (clone.path / "config/protocols/small.yaml").write_text(PROTOCOL)
    (clone.path / "params.yaml").write_text(PARAMS)
    clone.run("dvc repro")
    clone.run("git add --all && git add --force results/small/tables && git commit --quiet --message small")
    return clone


@pytest.mark.slow
def test_dvc_repeats_nothing_without_a_reason(finished: Clone) -> None:
    assert "Data and pipelines are up to date." in finished.run("dvc repro")


@pytest.mark.slow
def test_dvc_shows_metrics_and_plots(finished: Clone) -> None:
    shown = json.loads(finished.run("dvc metrics show --json 2> /dev/null"))
    summary = shown[""]["data"]["results/small/tables/table1.json"]["data"]
    assert 0 < summary["accuracy"] < 100
    finished.run("dvc plots show")
    assert (finished.path / "dvc_plots/index.html").exists()
    assert [path for path in finished.files(Path("dvc_plots")) if path.endswith("figure2.png")]


@pytest.mark.slow
def test_a_changed_setting_repeats_what_depends_on_it(finished: Clone, tmp_path: Path) -> None:
    clone = Clone(finished.path, tmp_path)
    for folder in ("results/small", ".snakemake", "data"):
        shutil.copytree(finished.path / folder, clone.path / folder, dirs_exist_ok=True)
    before = (clone.path / SET).stat()
    protocol = clone.path / "config/protocols/small.yaml"
    protocol.write_text(PROTOCOL.replace("\nnetworks: 1", "\nnetworks: 2"))
    clone.run("dvc repro tables")
    after = (clone.path / SET).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "the set was made again"
    changed = json.loads(clone.run("dvc metrics diff --json 2> /dev/null"))
    assert "std" in changed["results/small/tables/table1.json"]
    networks = json.loads(clone.run("dvc params diff --json 2> /dev/null"))["config/protocols/small.yaml"]
    assert networks["networks"] == {"old": 1, "new": 2, "diff": 1}


class Remote:
    """A DVC remote.

    Attributes:
        url: its address for DVC.
        folder: holds its objects.
        key: the user's key, if one is needed.
        known_hosts: a line for the user's file of this name.
    """

    def __init__(self, folder: Path, server: sshd.Server | None = None) -> None:
        self.folder = folder
        self.url = f"{server.url}{folder}" if server else str(folder)
        self.key = server.key if server else None
        self.known_hosts = server.known_hosts if server else ""


@pytest.fixture(params=["folder", "ssh"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    """Return an empty remote, in a shared folder or on a real SSH server."""
    (tmp_path / "remote").mkdir()
    if request.param == "folder":
        yield Remote(tmp_path / "remote")
        return
    if sshd.absent():
        pytest.skip("sshd is not installed: make install-sshd, as root")
    (tmp_path / "server").mkdir()
    with sshd.serving(tmp_path / "server") as server:
        yield Remote(tmp_path / "remote", server)


@pytest.mark.slow
def test_results_get_from_clone_to_clone(finished: Clone, remote: Remote, tmp_path: Path) -> None:
    ours = Clone(finished.path, tmp_path / "ours")
    for part in ("synthetic", "accuracy"):
        shutil.copytree(finished.path / "results/small" / part, ours.path / "results/small" / part)
    ours.reach(remote)
    ours.run("dvc add results/small/synthetic results/small/accuracy")
    ours.run("git add results/small && git commit --quiet --message results")
    ours.run("dvc push --remote lab results/small/*.dvc")

    theirs = Clone(ours.path, tmp_path / "theirs")
    theirs.reach(remote)
    theirs.run("dvc pull --remote lab results/small/*.dvc")
    theirs.run(TOUCH.format(protocol="small"))
    table = theirs.path / "results/small/tables/table1.csv"
    expected = table.read_bytes()
    table.unlink()
    assert {job.rule for job in theirs.planned("small", "table1")} == {"table", "cost", "table1"}
    theirs.run("snakemake --cores 1 --config protocol=small -- table1")
    assert table.read_bytes() == expected

    damaged = Clone(ours.path, tmp_path / "damaged")
    damaged.reach(remote)
    objects = [path for path in remote.folder.rglob("*") if path.is_file() and path.suffix != ".dir"]
    largest = max(objects, key=lambda path: path.stat().st_size)
    largest.chmod(0o644)
    largest.write_bytes(largest.read_bytes()[:-1] + b"x")
    damaged.run("dvc pull --remote lab results/small/*.dvc", fails=True)
