"""Inputs of the tests of faults: a few digits, settings of a few steps, and jobs of every script."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from sklearn.datasets import load_digits

from condensery.files import read_tensors
from tests.faults import children
from tests.scripts import ROOT

TRAIN_IMAGES, TEST_IMAGES = 20, 4
"""Images per class; the job ``built_in`` prepares all images of the data set."""
_TIME = r"Mapped in [\w. ]*? on"
"""Pattern of the measured time in the caption of a map."""
FEW_STEPS = {
    "dm": {"iterations": 2},
    "dm-pool": {"iterations": 2},
    "dc": {"iterations": 1, "outer_loop": 2, "inner_loop": 1},
    "dsa": {"iterations": 1, "outer_loop": 2, "inner_loop": 1},
    "dd": {"iterations": 2},
    "ld": {"iterations": 3, "patience": 2},
    "mtt": {"iterations": 2},
    "mmd": {"iterations": 2},
    "gmmn": {"iterations": 3},
    "vae": {"iterations": 2},
    "biggan": {"iterations": 2},
}
FEW_EPOCHS = {
    "dsa": 2, "dc": 2, "whole": 1, "features": 2, "sequence": 1, "pool": 2, "expert": 3, "search": 2,
    "search_whole": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A command whose outputs can be compared.

    Attributes:
        name: name of the job and of its folder.
        words: the script and its command line. ``{NAME}`` stands for the folder of another job; relative
            paths are in the job's own folder.
        outputs: paths of its outputs, relative to its folder.
    """

    name: str
    words: str
    outputs: tuple[str, ...]

    @property
    def script(self) -> str:
        """The name of its script."""
        return self.words.split()[0]

    def inputs(self) -> list[str]:
        """Return the names of the jobs whose outputs it reads."""
        return [other.name for other in JOBS if f"{{{other.name}}}" in self.words]


def _condense(method: str, more: str = "", name: str = "", out: str = "set.safetensors", ipc: int = 1) -> Job:
    words = f"condense --method {method} --ipc {ipc} --seed 0 --out {out} {COMPUTE} {more}"
    return Job(name or method, words, (out,))


COMPUTE = (
    "--config {config} --protocol smoke --device cpu --threads 1 --data digits --prepared {digits}/prepared"
)
REPORT = "--config {config} --protocol smoke"
TABLE = ("csv", "json", "md", "tex")
FIGURE = ("png", "pdf")


def _prefixed(prefix: str, suffixes: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{prefix}.{suffix}" for suffix in suffixes)


JOBS: tuple[Job, ...] = (
    Job("digits", "prepare --data digits --config {config} --raw {raw} --out prepared", ("prepared",)),
    Job(
        "inverted",
        "prepare --data digits_inverted --config {config} --raw {raw} --out prepared",
        ("prepared",),
    ),
    Job("built_in", "prepare --data built_in --config {config} --raw {raw} --out prepared", ("prepared",)),
    Job("features", f"pretrain --seed 0 --out f.safetensors {COMPUTE}", ("f.safetensors",)),
    Job("pool1", f"pool --part 1-of-2 --out p.safetensors {COMPUTE}", ("p.safetensors",)),
    Job("pool2", f"pool --part 2-of-2 --out p.safetensors {COMPUTE}", ("p.safetensors",)),
    Job("pairs1", f"pairs --part 1-of-2 --out p.safetensors {COMPUTE}", ("p.safetensors",)),
    Job("experts1", f"experts --part 1-of-2 --out e.safetensors {COMPUTE}", ("e.safetensors",)),
    Job("experts2", f"experts --part 2-of-2 --out e.safetensors {COMPUTE}", ("e.safetensors",)),
    *(
        Job(
            f"{kind}_weights",
            f"train_generator --method {kind} --seed 0 --out g.safetensors {COMPUTE}",
            ("g.safetensors",),
        )
        for kind in ("gmmn", "vae", "biggan")
    ),
    _condense("random"),
    _condense("dm"),
    _condense("dsa"),
    _condense("dc"),
    _condense("dd", "--network lenet"),
    _condense("ld", "--network lenet"),
    _condense("mmd"),
    _condense("gmmn"),
    _condense("vae", "--with generator={vae_weights}/g.safetensors"),
    _condense("herding", "--with features={features}/f.safetensors"),
    _condense("forgetting", "--with features={features}/f.safetensors"),
    _condense("kcenter", "--with features={features}/f.safetensors"),
    _condense("dm-pool", "--with pool={pool1}/p.safetensors pool={pool2}/p.safetensors", name="dm_pool"),
    _condense("mtt", "--with experts={experts1}/e.safetensors experts={experts2}/e.safetensors"),
    _condense("dm", "--classes 0-4", name="part1"),
    _condense("dm", "--classes 5-9", name="part2"),
    _condense("dm", "--snapshots 1,2", name="snapshots", out="sets"),
    _condense("dm", "--snapshots 1,2 --validation 0.1", name="held_out", out="sets"),
    _condense("dm", "--for-search", name="proxy", ipc=10),
    _condense("dm", "--shape 3x8x8", name="memory"),
    Job(
        "whole_set",
        "gather {part1}/set.safetensors {part2}/set.safetensors --out w.safetensors",
        ("w.safetensors",),
    ),
    Job(
        "rows",
        f"evaluate --set {{dm}}/set.safetensors --recipe dsa --out r.parquet {COMPUTE}",
        ("r.parquet",),
    ),
    Job(
        "random_rows",
        f"evaluate --set {{random}}/set.safetensors --recipe dsa --out r.parquet {COMPUTE}",
        ("r.parquet",),
    ),
    Job("whole_rows", f"evaluate --whole --recipe whole --out r.parquet {COMPUTE}", ("r.parquet",)),
    Job(
        "imported_rows",
        f"evaluate --set {{import_npz}}/i.safetensors --recipe dsa --out r.parquet {COMPUTE}",
        ("r.parquet",),
    ),
    *(
        Job(
            f"step{step}_rows",
            f"evaluate --set {{snapshots}}/sets/step{step}.safetensors --recipe dsa "
            f"--out r.parquet {COMPUTE}",
            ("r.parquet",),
        )
        for step in (1, 2)
    ),
    *(
        Job(
            f"search_{name}",
            f"search {source} --out s.parquet {COMPUTE}",
            ("s.parquet",),
        )
        for name, source in (
            ("proxy", "--set {proxy}/set.safetensors"),
            ("early", "--early-stopping"),
            ("whole", "--whole"),
        )
    ),
    Job(
        "best",
        f"best {{held_out}}/sets --recipe dsa --networks 1 --out b.safetensors {COMPUTE}",
        ("b.safetensors",),
    ),
    Job(
        "search_chosen",
        "search_test --rows {search_proxy}/s.parquet {search_early}/s.parquet {search_whole}/s.parquet "
        f"--out t.parquet {COMPUTE}",
        ("t.parquet",),
    ),
    Job(
        "continual",
        f"continual --steps 2 --order 0 --networks 1 --sets {{dm}}/set.safetensors --out c.parquet {COMPUTE}",
        ("c.parquet",),
    ),
    Job(
        "domains",
        "continual_domains --config {config} --protocol smoke --device cpu --threads 1 --seed 0 --networks 1 "
        "--data digits digits_inverted --prepared {digits}/prepared {inverted}/prepared "
        "--sets {memory}/set.safetensors --out c.parquet",
        ("c.parquet",),
    ),
    Job(
        "relabel",
        f"relabel {{dm}}/set.safetensors --epochs 1 --out soft.safetensors {COMPUTE}",
        ("soft.safetensors",),
    ),
    *(
        Job(
            f"export_{kind}",
            f"export_set {{dm}}/set.safetensors --format {kind} --out {out}",
            (out,),
        )
        for kind, out in (("png", "images"), ("pt", "x.pt"), ("npz", "x.npz"), ("parquet", "x.parquet"))
    ),
    Job(
        "import_pt",
        "import_set {export_pt}/x.pt --data digits --prepared {digits}/prepared --name other "
        "--out i.safetensors",
        ("i.safetensors",),
    ),
    Job(
        "import_png",
        "import_set {export_png}/images --data digits --prepared {digits}/prepared --out i.safetensors",
        ("i.safetensors",),
    ),
    Job(
        "import_npz",
        "import_set {export_npz}/x.npz --data digits --prepared {digits}/prepared --out i.safetensors",
        ("i.safetensors",),
    ),
    Job(
        "table",
        f"table --table table1 --rows {{rows}}/r.parquet {{random_rows}}/r.parquet --out table1 {REPORT}",
        _prefixed("table1", TABLE),
    ),
    Job(
        "curve",
        f"curve --figure summary --rows {{rows}}/r.parquet {{random_rows}}/r.parquet --out x {REPORT}",
        _prefixed("x", FIGURE),
    ),
    Job(
        "figure",
        f"figure --figure figure2 --sets {{dm}}/set.safetensors --rows {{rows}}/r.parquet --out x {REPORT}",
        _prefixed("x", FIGURE),
    ),
    Job(
        "score",
        "score {dm}/set.safetensors --networks 1 --whole-networks 1 --recipes dsa --cache {raw}/kept "
        f"--released {{raw}}/none --out . {COMPUTE}",
        ("report.html", "rows.parquet", "score.json", "score.txt"),
    ),
    Job(
        "entry",
        "rows --score {score} --set {dm}/set.safetensors --reference https://example.org --out entry",
        ("entry",),
    ),
    Job(
        "embedding",
        "embedding --features {features}/f.safetensors --sets {dm}/set.safetensors --classes 3 "
        f"--real-images 9 --out x.png {COMPUTE}",
        _prefixed("x", (*FIGURE, "csv")),
    ),
    Job(
        "report",
        f"report --tables {{table}}/table1.csv --figures {{figure}}/x.png --out x.html {REPORT}",
        ("x.html",),
    ),
    Job(
        "search_report",
        "search_report --rows {search_proxy}/s.parquet {search_early}/s.parquet {search_whole}/s.parquet "
        f"--tests {{search_chosen}}/t.parquet --out-table t --out-figure f {REPORT}",
        (*_prefixed("t", TABLE), *_prefixed("f", FIGURE)),
    ),
    Job(
        "continual_report",
        "continual_report --target continual5 --rows {continual}/c.parquet --out-table t --out-figure f "
        + REPORT,
        (*_prefixed("t", TABLE), *_prefixed("f", FIGURE)),
    ),
    Job(
        "trajectory",
        f"trajectory --rows {{step1_rows}}/r.parquet {{step2_rows}}/r.parquet --out x {REPORT}",
        _prefixed("x", (*FIGURE, "csv", "md")),
    ),
    Job(
        "cost",
        f"cost --table table1 --results {{results}}/smoke --out x {REPORT}",
        _prefixed("x", ("csv", "md")),
    ),
    Job(
        "reproduction",
        "reproduction --config {config} --results {results} --out x",
        _prefixed("x", (*FIGURE, "csv", "md")),
    ),
)
BY_NAME = {job.name: job for job in JOBS}


class Workshop:
    """Jobs without faults, each run once, when it is first needed.

    Args:
        folder: holds the folders of all jobs.
    """

    def __init__(self, folder: Path) -> None:
        """Write the configuration and the images that the jobs read."""
        self.folder = folder
        self._seconds: dict[str, float] = {}
        self._operations: dict[str, tuple[str, ...]] = {}
        _write_config(folder / "config")
        _write_images(folder / "raw")

    def words(self, job: Job, **instead: Path) -> list[str]:
        """Return the command line of a job, after running the jobs that it depends on.

        Args:
            job: the job.
            instead: folders that replace those of other jobs, or of config and raw.
        """
        for name in job.inputs():
            self.folder_of(name)
        if "{results}" in job.words:
            self._results()
        named = {name: str(self.folder / name) for name in (*BY_NAME, "config", "raw", "results")}
        return job.words.format_map(named | {name: str(path) for name, path in instead.items()}).split()

    def folder_of(self, name: str) -> Path:
        """Return the folder of a job that ran without a fault."""
        if name not in self._seconds:
            job = BY_NAME[name]
            words = self.words(job)
            begun = perf_counter()
            ended = children.run(words, self.folder / name)
            self._seconds[name] = perf_counter() - begun
            assert ended.status == 0, ended.text
            self._operations[name] = ended.operations
            assert sorted(left_in(self.folder / name)) == sorted(job.outputs)
        return self.folder / name

    def seconds(self, name: str) -> float:
        """Return the run time of a job in seconds."""
        self.folder_of(name)
        return self._seconds[name]

    def operations(self, name: str) -> tuple[str, ...]:
        """Return the file operations of a job, as in `children.Ended.operations`."""
        self.folder_of(name)
        return self._operations[name]

    def contents(self, job: Job, folder: Path) -> dict[str, Any]:
        """Return the contents of the outputs of a job that exist in a folder, without measured times."""
        return {name: contents(folder / name) for name in job.outputs if (folder / name).exists()}

    def _results(self) -> None:
        results = self.folder / "results"
        if not results.exists():
            for name, method in (("rows", "dm"), ("random_rows", "random")):
                cell = f"accuracy/digits/{method}/convnet/ipc1/seed0/dsa-convnet.parquet"
                target = results / "smoke" / cell
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder_of(name) / "r.parquet", target)


def left_in(folder: Path) -> list[str]:
    """Return the names in a folder, including hidden ones."""
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def contents(path: Path) -> Any:
    """Return the contents of an output in a comparable form, without measured times."""
    if path.is_dir():
        return {
            str(file.relative_to(path)): contents(file) for file in sorted(path.rglob("*")) if file.is_file()
        }
    if path.suffix == ".safetensors":
        tensors, about = read_tensors(path)
        provenance = about.get("provenance", {})
        provenance.get("snapshot", {}).pop("seconds", None)
        provenance.get("imported", {}).pop("sha256", None)  # depends on bytes after the end of the archive
        shown = {name: (str(t.dtype), tuple(t.shape), _bytes(t)) for name, t in tensors.items()}
        return shown, about
    if path.suffix == ".parquet":
        table = pq.ParquetFile(path).read()
        timed = [name for name in table.column_names if name.endswith(("_seconds", "_mb"))]
        return table.drop_columns(timed).to_pylist()
    if path.suffix == ".png":
        with Image.open(path) as image:
            assert isinstance(image, PngImageFile)
            text = {key: re.sub(_TIME, "", value) for key, value in image.text.items()}
            return hashlib.sha256(np.asarray(image).tobytes()).hexdigest(), text
    if path.suffix == ".pdf":  # after xref are byte positions, which depend on the length of the time
        data = path.read_bytes().partition(b"\nxref")[0]
        return hashlib.sha256(re.sub(_TIME.encode(), b"", data)).hexdigest()
    if path.suffix == ".html":  # its links are relative to its folder
        return re.sub(r'(href|src)="[./][^"]*"', "", path.read_text(encoding="utf-8"))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _bytes(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def _write_config(folder: Path) -> None:
    """Copy the configuration, with fewer steps and with a part of the digits."""
    shutil.copytree(ROOT / "config", folder)
    path = folder / "protocols" / "smoke.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    for method, parameters in FEW_STEPS.items():
        spec["methods"][method]["parameters"] = spec["methods"][method]["parameters"] | parameters
    for recipe, epochs in FEW_EPOCHS.items():
        spec["recipes"][recipe]["parameters"]["epochs"] = epochs
    spec["targets"]["table1"] = [
        {"datasets": ["digits"], "methods": ["random", "dm"], "ipc": [1], "sets": 1, "recipes": ["dsa"]}
    ]
    spec["targets"]["figure4"] = [
        {"datasets": ["digits"], "methods": ["dm"], "ipc": [1], "sets": 1, "snapshots": 2}
    ]
    spec["continual"]["continual5"] |= {"methods": ["dm"], "ipc": 1, "steps": 2, "networks": 1}
    spec["search"] |= {"networks": 3, "repeats": 1, "networks_per_job": 3}
    path.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    path = folder / "datasets.yaml"
    known = yaml.safe_load(path.read_text(encoding="utf-8"))
    known["built_in"] = known["digits"]
    for name in ("digits", "digits_inverted"):
        entry = {key: value for key, value in known[name].items() if key != "content"}
        sources = [{"kind": "image-folder", "path": name}]
        known[name] = entry | {"smallest_class": TRAIN_IMAGES, "sources": sources}
    path.write_text(yaml.safe_dump(known, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _write_images(folder: Path) -> None:
    """Write a few of scikit-learn's digits as folders of images: light on dark, and inverted in RGB."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    for digit in range(10):
        rows = np.flatnonzero(labels == digit)[: TRAIN_IMAGES + TEST_IMAGES]
        for number, row in enumerate(rows):
            split = "train" if number < TRAIN_IMAGES else "test"
            light = Image.fromarray(pixels[row])
            dark = Image.fromarray(255 - pixels[row]).convert("RGB")
            for name, image in (("digits", light), ("digits_inverted", dark)):
                path = folder / name / split / str(digit) / f"{number:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
