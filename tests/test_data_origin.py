"""A prepared folder and its source: changed, moved or missing files, and two simultaneous preparations."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml
from PIL import Image

from condensery.data import alone, folders, load, prepare, state_of_folder
from condensery.errors import CondenseryError
from tests.workflows import ROOT, plan, project, snakemake

LIMIT = 600
"""Seconds after which a thread that does not go on fails its test."""

ENTRY = {
    "channels": 1,
    "size": [8, 8],
    "classes": 2,
    "mean": "auto",
    "std": "auto",
    "sources": [{"kind": "image-folder", "path": "own"}],
}


def save(path, value):
    """Write an image of one value with a different corner; all such files have the same size."""
    pixels = np.full((8, 8), value, dtype=np.uint8)
    pixels[0, 0] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="bmp")


@pytest.fixture
def own(tmp_path):
    """Four training images of class a and four of b, all different, and a test image of each class."""
    for k in range(8):
        save(tmp_path / "own/train" / "ab"[k // 4] / f"{k}.bmp", 10 * (k + 1))
    for name in "ab":
        save(tmp_path / "own/test" / name / "t.bmp", 200)
    return tmp_path


def prepared(root, entry=ENTRY):
    prepare("own", entry, root, root / "out")
    data = load(root / "out")
    return sorted(
        zip(
            np.asarray(data.train.images).max(axis=(1, 2, 3)).tolist(),
            data.train.labels.tolist(),
            strict=True,
        )
    )


WANTED = [(10 * (k + 1), k // 4) for k in range(8)]


def replaced(own):
    """Replace an image by another one with the size and times of the old file."""
    path = own / "own/train/a/1.bmp"
    before = path.stat()
    save(path, 99)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda own: (own / "own/train/a/1.bmp").unlink(), WANTED[:1] + WANTED[2:]),
        (lambda own: save(own / "own/train/b/new.bmp", 150), [*WANTED, (150, 1)]),
        (
            lambda own: (own / "own/train/a/1.bmp").rename(own / "own/train/b/1.bmp"),
            [WANTED[0], (20, 1), *WANTED[2:]],
        ),
        (replaced, [WANTED[0], *WANTED[2:], (99, 0)]),
    ],
    ids=["removed", "added", "labeled otherwise", "replaced"],
)
def test_a_source_that_has_changed_is_prepared_anew(own, change, wanted, caplog):
    assert prepared(own) == WANTED
    change(own)
    assert prepared(own) == sorted(wanted)
    assert "preparing again: the files of its source are not those" in caplog.text


def test_another_folder_under_the_same_name_is_prepared_anew(own):
    prepared(own)
    (own / "own").rename(own / "before")
    for name in "ab":
        save(own / "own/train" / name / "0.bmp", 77)
        save(own / "own/test" / name / "0.bmp", 77)
    assert prepared(own) == [(77, 0), (77, 1)]
    other = {**ENTRY, "sources": [{"kind": "image-folder", "path": "before"}]}
    assert prepared(own, other) == WANTED


@pytest.mark.parametrize("act", ["copied", "absent"])
def test_the_same_files_elsewhere_and_no_files_keep_what_is_prepared(own, act):
    prepared(own)
    before = (own / "out/info.json").stat().st_mtime_ns
    if act == "absent":
        (own / "own").rename(own / "away")
    else:
        path = own / "own/train/a/1.bmp"
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert prepared(own) == WANTED
    assert (own / "out/info.json").stat().st_mtime_ns == before


def test_an_archive_that_has_changed_is_prepared_anew(own):
    entry = {**ENTRY, "sources": [{"kind": "image-folder", "path": "own.zip"}]}

    def pack():
        with zipfile.ZipFile(own / "own.zip", "w") as bundle:
            for file in sorted((own / "own").rglob("*.bmp")):
                bundle.write(file, file.relative_to(own))

    pack()
    assert prepared(own, entry) == WANTED
    replaced(own)
    pack()
    assert prepared(own, entry) == sorted([WANTED[0], *WANTED[2:], (99, 0)])


def test_a_resumed_preparation_never_mixes_two_versions(own, monkeypatch):
    monkeypatch.setattr(folders, "IMAGES_PER_PART", 2)
    inner = folders._image

    def until(path, shape):
        if path.name == "5.bmp":
            raise KeyboardInterrupt
        return inner(path, shape)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "_image", until)
        with pytest.raises(KeyboardInterrupt):
            prepare("own", ENTRY, own, own / "out")
    replaced(own)  # in a part that has been written
    assert prepared(own) == sorted([WANTED[0], *WANTED[2:], (99, 0)])


def test_a_source_that_changes_meanwhile_is_refused(own, monkeypatch):
    inner = folders._image

    def change(path, shape):
        if path.name == "5.bmp":
            replaced(own)
        return inner(path, shape)

    monkeypatch.setattr(folders, "_image", change)
    with pytest.raises(CondenseryError, match="own: its files changed while they were read"):
        prepare("own", ENTRY, own, own / "out")
    assert not (own / "out").exists()


def test_two_at_once_wait_for_each_other(own, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    inner, reading, go_on = folders._image, threading.Event(), threading.Event()

    def slow(path, shape):
        reading.set()
        assert go_on.wait(LIMIT)
        return inner(path, shape)

    monkeypatch.setattr(folders, "_image", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(prepare, "own", ENTRY, own, own / "out")
        assert reading.wait(LIMIT)
        second = pool.submit(prepare, "own", ENTRY, own, own / "out")
        while "waiting" not in caplog.text and not second.done():
            time.sleep(0.01)
        assert not second.done()
        go_on.set()
        first.result(LIMIT)
        second.result(LIMIT)
    assert caplog.text.count("waiting for another process that is preparing it") == 1
    assert caplog.text.count("already prepared") == 1
    assert prepared(own) == WANTED
    assert not (own / ".out.lock").exists()


HELD = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_holds_nothing(own, caplog):
    caplog.set_level(logging.INFO)
    words = [sys.executable, "-c", HELD, own / ".out.lock"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, **pipes) as holder, ThreadPoolExecutor(1) as pool:
        assert holder.stdout.readline() == b"held\n"
        waits = pool.submit(prepare, "own", ENTRY, own, own / "out")
        while "waiting" not in caplog.text and not waits.done():
            time.sleep(0.01)
        assert not waits.done()
        holder.send_signal(signal.SIGKILL)
        waits.result(LIMIT)
    assert prepared(own) == WANTED


def test_what_is_prepared_is_found_where_nothing_can_be_written(own, monkeypatch, caplog):
    prepared(own)
    caplog.set_level(logging.INFO)

    def denied(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(alone.os, "open", denied)
    with alone.alone(own / "out"):
        pass
    assert "waiting" not in caplog.text


def test_who_plans_jobs_sees_that_a_folder_has_changed(own):
    def state():
        return state_of_folder(ENTRY, own, own / "out")

    before = state()
    assert before
    prepared(own)
    assert state() == before
    path = own / "own/train/a/1.bmp"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)  # the same bytes
    assert state() == before
    (own / "own").rename(own / "away")
    assert state() == before
    (own / "away").rename(own / "own")
    replaced(own)
    assert state() != before
    (own / "own/train/a/1.bmp").unlink()
    (own / "own/train/a/1.bmp").symlink_to("nowhere")
    assert "a link to what does not exist" in state()
    assert state_of_folder({**ENTRY, "content": {"train": "a", "test": "b"}}, own, own / "out") == ""
    assert state_of_folder({**ENTRY, "sources": [{"kind": "digits"}]}, own, own / "fresh") == ""


@pytest.mark.slow
def test_the_workflow_prepares_a_changed_folder_anew(own, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    project(folder, {})
    (folder / "scripts/prepare.py").write_bytes((ROOT / "scripts/prepare.py").read_bytes())
    with (folder / "config/datasets.yaml").open("a") as file:
        file.write(yaml.safe_dump({"own": {**ENTRY, "network": "convnet", "augmentation": "none"}}))
    (folder / "data/raw").mkdir(parents=True)
    (own / "own").rename(folder / "data/raw/own")
    target = "data/prepared/own/info.json"
    snakemake(folder, "--cores", "1", targets=(target,), protocol="smoke")
    assert plan(folder, target, protocol="smoke") == {}
    save(folder / "data/raw/own/train/a/new.bmp", 150)
    assert plan(folder, target, protocol="smoke")["prepare"] == 1
    snakemake(folder, "--cores", "1", targets=(target,), protocol="smoke")
    assert len(load(folder / "data/prepared/own").train) == 9
    assert plan(folder, target, protocol="smoke") == {}
