"""Allowed outputs; and a lack of disk or memory, which gives a one-line error and no partial file."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from condensery import console, exchange
from condensery.data import prepare, storage
from condensery.errors import CondenseryError
from condensery.files import atomic, check_output, write_tensors
from condensery.run import Checkpoint
from condensery.synthetic import SyntheticSet
from tests import scripts


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Limit the size of files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise() -> SyntheticSet:
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return SyntheticSet(images, torch.tensor([0, 0, 1, 1]), ("a", "b"), (0.5,) * 3, (0.25,) * 3)


# ---- before the work


def unwritable(tmp_path: Path) -> dict[str, Path]:
    """Return words of the refusal -> a path that cannot be an output."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "pipe")
    return {
        "is a folder": tmp_path / "folder",
        "is a device or a pipe": tmp_path / "link",
        "a device or a pipe": tmp_path / "pipe",
        "/file cannot be written (not a directory)": tmp_path / "file" / "x",
        "/proc cannot be written": Path("/proc/nowhere/x"),
        "the name is too long": tmp_path / ("x" * 230),
        "name is too long": tmp_path / ("ü" * 100),
    }


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    bad = unwritable(tmp_path)
    before = sorted(tmp_path.iterdir())
    for says, path in bad.items():
        with pytest.raises(CondenseryError) as error:
            check_output(path)
        assert says in str(error.value)
        assert str(error.value).startswith(f"{path}: ")
    for path in (tmp_path / "file", tmp_path / "new", tmp_path / "a" / "b" / "new", tmp_path / ("x" * 180)):
        check_output(path)
    check_output(tmp_path / "folder", folder=True)
    assert sorted(tmp_path.iterdir()) == before


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    unwritable(tmp_path)
    for name in ("link", "pipe"):
        with pytest.raises(CondenseryError, match="is a device or a pipe"), atomic(tmp_path / name):
            pass
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "pipe").is_fifo()


def test_no_part_of_a_prepared_data_set_is_replaced(tmp_path: Path) -> None:
    for name in ("info.json", "train_images.npy"):
        (tmp_path / name).write_text("prepared")
        assert "a part of a prepared data set" in refused(*CONDENSE, "--out", tmp_path / name)
        assert (tmp_path / name).read_text() == "prepared"


def test_a_damaged_description_is_told_in_a_short_line(tmp_path: Path) -> None:
    (tmp_path / "info.json").write_bytes(b"{" + b"\xff" * 9999)
    with pytest.raises(CondenseryError, match=r"info\.json: damaged") as error:
        storage.Description.read(tmp_path)
    assert len(str(error.value)) < 500


CONDENSE = ("condense", "--data", "digits", "--method", "dm", "--ipc", 1, "--seed", 0)


def refused(*words: object) -> str:
    """Return the error line of a script that ends before any work."""
    done = scripts.run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize(
    "words",
    [
        CONDENSE,
        ("evaluate", "--data", "digits", "--whole", "--recipe", "dc"),
        ("pretrain", "--data", "digits", "--seed", 0),
        ("pool", "--data", "digits"),
        ("pairs", "--data", "digits"),
        ("experts", "--data", "digits"),
        ("search", "--data", "digits", "--whole"),
    ],
    ids=lambda words: words[0],
)
def test_a_job_looks_at_its_output_before_anything_else(words: tuple[object, ...], tmp_path: Path) -> None:
    assert "is a folder: give the name of a file" in refused(*words, "--out", tmp_path)
    assert "cannot be written" in refused(*words, "--out", "/proc/nowhere/x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "--data", "digits", "--recipe", "dc", "--set", "FILE", "--out", "FILE"),
        ("evaluate", "--data", "digits", "--recipe", "dc", "--set", "LINK", "--out", "FILE"),
        (*CONDENSE, "--with", "features=FILE", "--out", "FILE"),
        ("gather", "other", "FILE", "--out", "FILE"),
        ("import_set", "FILE", "--data", "digits", "--out", "LINK"),
        ("export_set", "FILE", "--format", "npz", "--out", "FILE"),
    ],
    ids=lambda words: f"{words[0]} {words[-3]}",
)
def test_an_output_that_is_an_input_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "set").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("set")
    named = [
        str(word)
        .replace("FILE", str(tmp_path / "set"))
        .replace("LINK", str(tmp_path / "link"))
        .replace("./", "")
        for word in words
    ]
    assert "would replace what is read: give another name" in refused(*named)
    assert (tmp_path / "set").read_bytes() == b"precious"


# ---- full disks


WRITERS: dict[str, Callable[[Path], object]] = {
    "set.safetensors": lambda path: noise().save(path),
    "set.npz": lambda path: exchange.to_npz(noise(), path),
    "set.pt": lambda path: exchange.to_reference_pt([noise()], path),
    "set.parquet": lambda path: exchange.to_parquet(noise(), path),
    "folder": lambda path: exchange.to_png_folders(noise(), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        with files_up_to(1000):
            WRITERS[name](tmp_path / name)

    assert console.run(main) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / name}: file too large: raise the limit")
    assert list(tmp_path.iterdir()) == []
    WRITERS[name](tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_checkpoint_that_no_longer_fits_leaves_the_last_one(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state", "test")
    checkpoint.save(1, {"a": torch.zeros(10)})
    with pytest.raises(OSError, match=r"File too large") as error, files_up_to(5000):
        checkpoint.save(2, {"a": torch.zeros(10_000)})
    assert error.value.filename == str(tmp_path / "state")
    assert checkpoint.load()[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_preparation_without_space_goes_on_when_there_is_some(tmp_path: Path) -> None:
    spec = {"channels": 1, "size": [8, 8], "classes": 10, "mean": "auto", "std": "auto"}
    spec["sources"] = [{"kind": "digits"}]
    out = tmp_path / "digits"
    with (
        pytest.raises(CondenseryError, match=r"File too large.*run this again, which goes on"),
        files_up_to(5000),
    ):
        prepare("digits", spec, tmp_path, out)
    assert [path.name for path in out.iterdir()] == [".partial"]
    prepare("digits", spec, tmp_path, out)
    assert (out / "info.json").is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_real_full_disk_and_one_that_is_read_only(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match="No space left") as error:
            write_tensors(disk / "a", {"a": torch.zeros(100_000)}, {})
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(disk / "a"))
        assert list(disk.iterdir()) == []
        check_output(disk / "a")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(CondenseryError, match="read-only file system"):
            check_output(disk / "new" / "a")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# ---- memory, and system errors without a file name


def test_what_the_system_says_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def ended(error: BaseException) -> str:
        def main() -> None:
            raise error

        assert console.run(main) == 1
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        return printed

    assert ended(OSError(errno.ENOSPC, "No space left on device")).startswith(
        "error: no space left on device: free some space and start this again"
    )
    assert ended(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300)).endswith(
        "give a shorter name\n"
    )
    assert ended(MemoryError()).startswith("error: not enough memory (MemoryError): give the job more memory")
    assert "1.5 GiB" in ended(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.5 GiB"))


def test_memory_that_pytorch_does_not_get_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.run(lambda: torch.empty(2**50)) == 1
    assert capsys.readouterr().err.startswith("error: not enough memory (")
    assert console.run(lambda: np.empty(2**50)) == 1
    assert capsys.readouterr().err.startswith("error: not enough memory (")
    with pytest.raises(RuntimeError, match="shape"):
        console.run(lambda: torch.ones(2) @ torch.ones(3, 3))
