"""A damaged file is refused in one line, or makes no difference: it never changes a number."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import children
from tests.faults.children import Ended, Fault
from tests.faults.workshop import BY_NAME, Workshop

QUICK = ("set",)
"""The kinds of files that the fast suite damages, a few times each."""


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        maker: the job that writes them, or ``results``, a folder of copied results.
        file: path of one such file in the folder of that job.
        reader: a job that reads them.
    """

    maker: str
    file: str
    reader: str


PREPARED = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy", "info.json")
CONFIG = ("config.yaml", "datasets.yaml", "methods.yaml", "recipes.yaml", "protocols/smoke.yaml")

CELL = "dm/convnet/ipc1/seed0/dsa-convnet"

KINDS = {
    "set": Kind("dm", "set.safetensors", "export_npz"),
    "evaluated set": Kind("random", "set.safetensors", "random_rows"),
    "part": Kind("part1", "set.safetensors", "whole_set"),
    "snapshot": Kind("snapshots", "sets/step1.safetensors", "step1_rows"),
    "memory": Kind("memory", "set.safetensors", "domains"),
    "imported set": Kind("import_npz", "i.safetensors", "imported_rows"),
    "features": Kind("features", "f.safetensors", "herding"),
    "pool": Kind("pool2", "p.safetensors", "dm_pool"),
    "experts": Kind("experts2", "e.safetensors", "mtt"),
    "generator": Kind("vae_weights", "g.safetensors", "vae"),
    **{f"prepared {name}": Kind("digits", f"prepared/{name}", "random") for name in PREPARED},
    "rows": Kind("rows", "r.parquet", "table"),
    "rows of costs": Kind("results", f"smoke/accuracy/digits/{CELL}.parquet", "cost"),
    "snapshot rows": Kind("step1_rows", "r.parquet", "trajectory"),
    "search rows": Kind("search_proxy", "s.parquet", "search_report"),
    "memory rows": Kind("continual", "c.parquet", "continual_report"),
    "exported pt": Kind("export_pt", "x.pt", "import_pt"),
    "exported npz": Kind("export_npz", "x.npz", "import_npz"),
    "exported png": Kind("export_png", "images/0_0/00000.png", "import_png"),
    "index of png": Kind("export_png", "images/set.json", "import_png"),
}


def truncated(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data))]


def empty(data: bytes, draw: random.Random) -> bytes:
    return b""


def flipped(data: bytes, draw: random.Random) -> bytes:
    position = draw.randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1 << draw.randrange(8)]) + data[position + 1 :]


def zeroed(data: bytes, draw: random.Random) -> bytes:
    start, end = _block(data, draw)
    return data[:start] + bytes(end - start) + data[end:]


def noisy(data: bytes, draw: random.Random) -> bytes:
    start, end = _block(data, draw)
    return data[:start] + draw.randbytes(end - start) + data[end:]


def extended(data: bytes, draw: random.Random) -> bytes:
    return data + draw.randbytes(draw.randrange(1, 99))


def shortened(data: bytes, draw: random.Random) -> bytes:
    start, end = _block(data, draw)
    return data[:start] + data[end:]


def repeated(data: bytes, draw: random.Random) -> bytes:
    start, end = _block(data, draw)
    return data[:end] + data[start:]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped, truncated, noisy, zeroed, shortened, repeated, extended, empty,
)  # fmt: skip


def _block(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = draw.randrange(len(data))
    return start, min(len(data), start + draw.randrange(1, 65))


def damaged(name: str, data: bytes, number: int) -> bytes:
    """Return the data with damage that the number selects; it always differs from the data."""
    draw = random.Random(f"{name} {number}")
    while (found := DAMAGES[number % len(DAMAGES)](data, draw)) == data:
        pass
    return found


def kinds(*names: str) -> list[object]:
    """Return the names as parameters; the fast suite has the quick ones only."""
    quick = [name for name in names if name in QUICK]
    return [*quick, *(pytest.param(name, marks=pytest.mark.faults) for name in names)]


def rounds(request: pytest.FixtureRequest) -> range:
    """Return how often a test damages a file."""
    return range(len(DAMAGES) if request.node.get_closest_marker("faults") else 4)


def verdict(workshop: Workshop, reader: str, ended: Ended, folder: Path, *named: str) -> str | None:
    """Return the effect of a damaged file on a job: ``refused``, ``no difference``, or None for a defect."""
    job = BY_NAME[reader]
    found = workshop.contents(job, folder)
    if ended.refused(*named) and not found:
        return "refused"
    if ended.status == 0 and found == workshop.contents(job, workshop.folder_of(reader)):
        return "no difference"
    return None


@pytest.mark.parametrize("name", kinds(*KINDS))
def test_a_damaged_file_is_refused_or_makes_no_difference(
    name: str, workshop: Workshop, tmp_path: Path, count: Counter[str], request: pytest.FixtureRequest
) -> None:
    kind = KINDS[name]
    workshop.words(BY_NAME[kind.reader])
    copy = tmp_path / "copy"
    shutil.copytree(workshop.folder / kind.maker, copy)
    data = (copy / kind.file).read_bytes()
    wrong = []
    for number in rounds(request):
        (copy / kind.file).write_bytes(damaged(name, data, number))
        folder = tmp_path / str(number)
        ended = children.run(workshop.words(BY_NAME[kind.reader], **{kind.maker: copy}), folder)
        found = verdict(workshop, kind.reader, ended, folder, Path(kind.file).parts[0])
        count[f"damaged files: {found}"] += 1
        if found is None:
            wrong.append(f"{DAMAGES[number % len(DAMAGES)].__name__} ({number}): {ended.text[-900:]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.faults
@pytest.mark.parametrize(
    "name", ["dm", "rows", "features", "pool1", "vae_weights", "continual", "search_proxy"]
)
def test_a_damaged_checkpoint_makes_no_difference(
    name: str, workshop: Workshop, tmp_path: Path, count: Counter[str], request: pytest.FixtureRequest
) -> None:
    job = BY_NAME[name]
    operations = workshop.operations(name)
    saved = [k for k, operation in enumerate(operations) if operation.startswith("os.rename")]
    stopped = tmp_path / "stopped"
    children.run(workshop.words(job), stopped, Fault(saved[-2] + 2))
    checkpoints = sorted(stopped.glob(".*.checkpoint*"))
    for number in rounds(request):
        folder = tmp_path / str(number)
        shutil.copytree(stopped, folder)
        file = folder / checkpoints[number % len(checkpoints)].name
        file.write_bytes(damaged(name, file.read_bytes(), number))
        ended = children.run(workshop.words(job), folder)
        assert verdict(workshop, name, ended, folder) == "no difference", ended.text
        count["damaged files: no difference"] += 1


@pytest.mark.faults
@pytest.mark.parametrize("file", ["progress.json", "train_images.npy", "train_labels.npy", "test_images.npy"])
@pytest.mark.parametrize("name", ["digits", "inverted"])
def test_a_damaged_preparation_makes_no_difference(
    name: str, file: str, workshop: Workshop, tmp_path: Path, count: Counter[str]
) -> None:
    job = BY_NAME[name]
    operations = workshop.operations(name)
    described = next(k for k, operation in enumerate(operations) if "info.json" in operation)
    stopped = tmp_path / "stopped"
    children.run(workshop.words(job), stopped, Fault(described))
    for number in range(4):
        folder = tmp_path / str(number)
        shutil.copytree(stopped, folder)
        path = next(folder.rglob(file))
        path.write_bytes(damaged(f"{name} {file}", path.read_bytes(), number))
        ended = children.run(workshop.words(job), folder)
        found = verdict(workshop, name, ended, folder, name)
        assert found, ended.text
        count[f"damaged files: {found}"] += 1


@pytest.mark.faults
@pytest.mark.parametrize("file", CONFIG)
def test_a_damaged_configuration_is_refused_or_its_settings_are_recorded(
    file: str, workshop: Workshop, tmp_path: Path, count: Counter[str], request: pytest.FixtureRequest
) -> None:
    shutil.copytree(workshop.folder / "config", tmp_path / "config")
    path = tmp_path / "config" / file
    data = path.read_bytes()
    job = BY_NAME["dm"]
    expected = workshop.contents(job, workshop.folder_of("dm"))["set.safetensors"]
    for number in rounds(request):
        path.write_bytes(damaged(file, data, number))
        folder = tmp_path / str(number)
        ended = children.run(workshop.words(job, config=tmp_path / "config"), folder)
        found = verdict(workshop, "dm", ended, folder)
        if found is None and ended.status == 0:
            # A damaged file may remain a valid configuration, whose settings the results record.
            output = workshop.contents(job, folder)["set.safetensors"]
            found = "other settings, recorded" if output[1] != expected[1] else None
        assert found, f"{number}: {ended.text}"
        count[f"damaged files: {found}"] += 1
