"""The scripts as users run them: from data to rows without Snakemake, and errors for bad input."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from condensery.rows import SNAPSHOT, read_rows
from condensery.synthetic import SyntheticSet
from tests.scripts import ROOT, run


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "digits"
    done = run("prepare", "--data", "digits", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def condense(digits: Path, out: Path, method: str = "dm", ipc: int = 1, **more: object):
    extra = [text for key, value in more.items() for text in (f"--{key}", value)]
    return run(
        "condense", "--data", "digits", "--prepared", digits, "--method", method, "--ipc", ipc,
        "--seed", 0, "--protocol", "smoke", "--out", out, *extra,
    )  # fmt: skip


def saving(digits: Path, out: Path, *more: object) -> list[str]:
    """Return the command that condenses a set and writes a checkpoint after every step."""
    program = (
        "import runpy, sys; from condensery.run import checkpoint;"
        "checkpoint.Checkpoint.due = lambda self: True;"
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    arguments = [
        ROOT / "scripts/condense.py", "--data", "digits", "--prepared", digits, "--method", "dm",
        "--seed", 0, "--protocol", "smoke", "--out", out, *more,
    ]  # fmt: skip
    return [sys.executable, "-c", program, *map(str, arguments)]


def evaluate(digits: Path, out: Path, *source: object):
    return run(
        "evaluate", "--data", "digits", "--prepared", digits, "--recipe", "dsa", "--protocol", "smoke",
        "--networks", 2, "--out", out, *source,
    )  # fmt: skip


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


def test_from_data_to_rows(digits, tmp_path):
    done = condense(digits, tmp_path / "dm.safetensors")
    assert done.returncode == 0, done.stderr
    synthetic = SyntheticSet.load(tmp_path / "dm.safetensors")
    assert synthetic.images.shape == (10, 1, 8, 8)
    experiment = synthetic.provenance["experiment"]
    assert experiment["method"] == "dm"
    assert experiment["parameters"]["iterations"] == 30  # the value of the protocol smoke
    done = evaluate(digits, tmp_path / "rows.parquet", "--synthetic", tmp_path / "dm.safetensors")
    assert done.returncode == 0, done.stderr
    rows = read_rows([tmp_path / "rows.parquet"], "smoke")
    assert rows["network_seed"].tolist() == [0, 1]
    assert (rows["accuracy"] > 15).all()  # chance is 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dm.safetensors", "rows.parquet"]


@pytest.mark.slow
def test_a_variant_is_condensed_by_its_base_under_its_own_name(digits, tmp_path):
    done = condense(digits, tmp_path / "crop.safetensors", "dsa-crop")
    assert done.returncode == 0, done.stderr
    experiment = SyntheticSet.load(tmp_path / "crop.safetensors").provenance["experiment"]
    assert experiment["method"] == "dsa-crop"
    assert experiment["parameters"]["strategy"] == "crop"


@pytest.mark.slow
def test_an_exported_set_comes_back_and_is_evaluated(digits, tmp_path):
    condense(digits, tmp_path / "random.safetensors", "random", ipc=2)
    out = tmp_path / "set.pt"
    assert run("export_set", tmp_path / "random.safetensors", "--format", "pt", "--out", out).returncode == 0
    back = tmp_path / "back.safetensors"
    done = run("import_set", out, "--data", "digits", "--prepared", digits, "--out", back)
    assert done.returncode == 0, done.stderr
    for name, path in (("first", tmp_path / "random.safetensors"), ("second", back)):
        done = evaluate(digits, tmp_path / f"{name}.parquet", "--synthetic", path)
        assert done.returncode == 0, done.stderr
    first = read_rows([tmp_path / "first.parquet"], "smoke")
    second = read_rows([tmp_path / "second.parquet"], "smoke")
    assert first["accuracy"].tolist() == second["accuracy"].tolist()
    assert second["method"].tolist() == ["imported"] * 2


@pytest.mark.slow
def test_a_killed_script_goes_on_where_it_was(digits, tmp_path):
    whole, resumed = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    checkpoint = tmp_path / ".resumed.safetensors.checkpoint"
    assert condense(digits, whole, ipc=10).returncode == 0
    with subprocess.Popen(saving(digits, resumed, "--ipc", 10), cwd=ROOT) as victim:
        deadline = time.monotonic() + 300
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
    assert victim.returncode == -signal.SIGKILL
    assert checkpoint.exists()
    assert not resumed.exists()
    assert condense(digits, resumed, ipc=10).returncode == 0
    assert resumed.read_bytes() == whole.read_bytes()
    assert not checkpoint.exists()


@pytest.mark.slow
def test_snapshots_are_sets_that_know_when_they_were_taken(digits, tmp_path):
    done = condense(digits, tmp_path / "on the way", snapshots="10,30")
    assert done.returncode == 0, done.stderr
    assert condense(digits, tmp_path / "whole.safetensors").returncode == 0
    snapshots = [SyntheticSet.load(tmp_path / "on the way" / f"step{step}.safetensors") for step in (10, 30)]
    whole = SyntheticSet.load(tmp_path / "whole.safetensors")
    assert np.array_equal(snapshots[1].images, whole.images)  # the smoke protocol has 30 iterations
    assert not np.array_equal(snapshots[0].images, whole.images)
    done = evaluate(
        digits, tmp_path / "rows.parquet", "--synthetic", tmp_path / "on the way" / "step10.safetensors"
    )
    assert done.returncode == 0, done.stderr
    row = read_rows([tmp_path / "rows.parquet"], "smoke", SNAPSHOT).iloc[0]
    taken = [each.provenance.pop("snapshot") for each in snapshots]
    assert row[["step", "condense_seconds", "condense_device"]].tolist() == [
        taken[0][name] for name in ("step", "seconds", "device")
    ]
    assert [each["step"] for each in taken] == [10, 30]
    assert 0 < taken[0]["seconds"] < taken[1]["seconds"]
    assert snapshots[0].provenance == snapshots[1].provenance == whole.provenance
    again = condense(digits, tmp_path / "on the way", snapshots="10,30")
    assert_one_line(again, "on the way", "not an empty folder")


@pytest.mark.slow
def test_later_snapshots_go_on_where_a_shorter_run_ended(digits, tmp_path):
    folder, checkpoint = tmp_path / "trajectory", tmp_path / ".trajectory.checkpoint"
    shorter = saving(digits, folder, "--ipc", 1, "--snapshots", "5,10")
    subprocess.run(shorter, cwd=ROOT, check=True)
    assert sorted(path.name for path in folder.iterdir()) == ["step10.safetensors", "step5.safetensors"]
    assert checkpoint.exists()
    first = (folder / "step10.safetensors").read_bytes()
    shutil.rmtree(folder)
    assert condense(digits, folder, snapshots="5,10,30").returncode == 0
    assert (folder / "step10.safetensors").read_bytes() == first  # with the seconds of the shorter run
    assert not checkpoint.exists()
    assert condense(digits, tmp_path / "whole.safetensors").returncode == 0
    ends = [
        SyntheticSet.load(path) for path in (folder / "step30.safetensors", tmp_path / "whole.safetensors")
    ]
    assert np.array_equal(ends[0].images, ends[1].images)


@pytest.mark.parametrize(
    ("method", "steps", "words"),
    [
        ("dm", "10,31", ["--snapshots 31", "dm runs 30 iterations"]),
        ("dm", "ten", ["--snapshots 'ten'"]),
        ("random", "1", ["--snapshots", "random has no iterations"]),
    ],
)
def test_snapshots_that_cannot_be_taken_are_refused(digits, tmp_path, method, steps, words):
    assert_one_line(condense(digits, tmp_path / "on the way", method, snapshots=steps), *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("method", "ipc", "words"),
    [
        ("dmm", 1, ["unknown method 'dmm'", "dm"]),
        ("dm", 1000, ["ipc 1000", "training images of class"]),
        ("herding", 1, ["scripts/pretrain.py", "--with features"]),
    ],
)
def test_what_cannot_be_condensed_is_refused_in_one_line(digits, tmp_path, method, ipc, words):
    assert_one_line(condense(digits, tmp_path / "set.safetensors", method, ipc), *words)
    assert not list(tmp_path.iterdir())


def test_an_unknown_data_set_is_named(tmp_path):
    done = run("prepare", "--data", "cifar11", "--out", tmp_path / "cifar11")
    assert_one_line(done, "no data set 'cifar11'", "cifar10")
    assert not list(tmp_path.iterdir())


def test_a_truncated_data_file_is_refused(digits, tmp_path):
    copy = tmp_path / "digits"
    shutil.copytree(digits, copy)
    images = copy / "train_images.npy"
    images.write_bytes(images.read_bytes()[:-100])
    done = condense(copy, tmp_path / "set.safetensors")
    assert_one_line(done, str(images))
    assert not (tmp_path / "set.safetensors").exists()


def test_an_altered_data_file_is_found(digits, tmp_path):
    copy = tmp_path / "digits"
    shutil.copytree(digits, copy)
    images = np.load(copy / "train_images.npy", mmap_mode="r+")
    images[0, 0, 0, 0] ^= 1
    images.flush()
    done = run("prepare", "--data", "digits", "--out", copy, "--verify")
    assert_one_line(done, "train_images.npy")


def test_a_set_of_other_classes_is_refused(digits, tmp_path):
    path = tmp_path / "set.safetensors"
    condense(digits, path, "random")
    synthetic = SyntheticSet.load(path)
    renamed = tuple(f"letter {name}" for name in synthetic.classes)
    SyntheticSet(synthetic.images, synthetic.labels, renamed, synthetic.mean, synthetic.std, {}).save(path)
    done = evaluate(digits, tmp_path / "rows.parquet", "--synthetic", path)
    assert_one_line(done, str(path), "digits")
    assert not (tmp_path / "rows.parquet").exists()


@pytest.mark.slow
def test_shards_of_classes_gather_to_the_whole_set(digits, tmp_path):
    parts = []
    for classes in ("0-3", "4-9"):
        parts.append(tmp_path / f"{classes}.safetensors")
        assert condense(digits, parts[-1], ipc=2, classes=classes).returncode == 0
    assert run("gather", *parts, "--out", tmp_path / "gathered.safetensors").returncode == 0
    condense(digits, tmp_path / "whole.safetensors", ipc=2)
    whole, gathered = (SyntheticSet.load(tmp_path / f"{name}.safetensors") for name in ("whole", "gathered"))
    assert gathered.provenance == whole.provenance
    np.testing.assert_allclose(gathered.images, whole.images, rtol=0, atol=1e-4)


def test_classes_that_a_network_mixes_are_not_condensed_apart(digits, tmp_path):
    done = condense(digits, tmp_path / "part.safetensors", network="convnet-d1-w16-bn", classes="0-4")
    assert_one_line(done, "--classes", "dm with convnet-d1-w16-bn")
    assert list(tmp_path.iterdir()) == []


def pretrain(digits: Path, out: Path, *view: object):
    return run(
        "pretrain", "--data", "digits", "--prepared", digits, "--seed", 0, "--protocol", "smoke",
        "--out", out, *view,
    )  # fmt: skip


def test_a_view_has_some_classes_in_another_shape(digits, tmp_path):
    features, view = tmp_path / "features.safetensors", ("--only", "3,7-8", "--shape", "3x8x12")
    done = pretrain(digits, features, *view)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "herding.safetensors"
    done = condense(
        digits, out, "herding", 2, **{"with": f"features={features}"}, only="3,7-8", shape="3x8x12"
    )
    assert done.returncode == 0, done.stderr
    synthetic = SyntheticSet.load(out)
    assert synthetic.images.shape == (6, 3, 8, 12)
    assert synthetic.labels.tolist() == [3, 3, 7, 7, 8, 8]
    assert len(synthetic.classes) == 10
    assert synthetic.experiment("only", "shape")["only"] == "3,7-8"
    done = condense(
        digits, tmp_path / "b.safetensors", "herding", 2, **{"with": f"features={features}"}, only="3,7"
    )
    assert_one_line(done, "classes 3, 7, 8", "is needed")


@pytest.mark.slow
def test_a_set_is_mapped_among_real_images(digits, tmp_path):
    features, chosen = tmp_path / "features.safetensors", tmp_path / "random.safetensors"
    assert pretrain(digits, features).returncode == 0
    assert condense(digits, chosen, "random", 2).returncode == 0
    out = tmp_path / "map.png"

    def embed(classes: int) -> subprocess.CompletedProcess[str]:
        return run(
            "embedding", "--data", "digits", "--prepared", digits, "--features", features, "--sets", chosen,
            "--classes", classes, "--real-images", 20, "--protocol", "smoke", "--out", out,
        )  # fmt: skip

    assert_one_line(embed(11), "--classes 11", "1 to 10")
    done = embed(2)
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in tmp_path.glob("map.*")} == {".png", ".pdf", ".csv"}
    lines = (tmp_path / "map.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * (20 + 2)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("only", "3-12", "class 10 comes twice or is not in digits"),
        ("only", "a", "'a' is not a list of numbers"),
        ("shape", "3x8", "'3x8' is not CxHxW"),
    ],
)
def test_an_impossible_view_is_refused_in_one_line(digits, tmp_path, key, value, message):
    assert_one_line(condense(digits, tmp_path / "set.safetensors", "random", **{key: value}), message)
