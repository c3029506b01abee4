"""Small jobs of the smoke protocol for every script that computes and every method.

They run in this process on a device and on the CPU, from the same files, and their outputs are compared.
"""

from __future__ import annotations

import contextlib
import re
import runpy
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from condensery import data
from condensery.experiment import load_config
from condensery.files import read_tensors
from condensery.machine.device import Device
from condensery.methods import names as method_names
from condensery.rows import USE

ROOT = Path(__file__).parents[2]
NETWORK = "convnet-d2-w16"
DATA = ("digits", "digits_inverted")

# Parameters that replace those of the smoke protocol: small, but every branch runs, as do epochs at the
# second learning rate of a recipe.
_METHODS: dict[str, dict[str, int]] = {
    "dm": {"iterations": 2, "batch_real": 8},
    "dm-pool": {"iterations": 2, "batch_real": 8},
    "dc": {"iterations": 1, "batch_real": 8},
    "dsa": {"iterations": 1, "batch_real": 8},
    "dcc": {"iterations": 1, "batch_real": 8, "alone_networks": 0},
    "datadam": {"iterations": 2, "batch_real": 8},
    "idc": {"iterations": 1, "batch_real": 8, "batch_net": 16},
    "dd": {"iterations": 2, "batch_real": 16},
    "gtn": {"iterations": 2, "batch_real": 16, "width": 8},
    "ld": {"iterations": 3, "patience": 1, "batch_real": 16},
    "mtt": {"iterations": 2, "steps": 2},
    "kip": {"iterations": 2, "batch_real": 40},
    "frepo": {"iterations": 2, "batch_real": 40},
    "m3d": {"iterations": 2, "batch_real": 8},
    "dance": {"iterations": 2, "batch_real": 8},
    "ncfm": {"iterations": 2, "batch_real": 8, "frequencies": 16},
    "idm": {"iterations": 2, "batch_real": 8, "batch_net": 8},
    "mmd": {"iterations": 2, "batch_real": 8},
    "gmmn": {"iterations": 2, "batch": 20, "width": 32},
    "vae": {"iterations": 2, "batch": 8, "noise": 4, "width": 8},
    "biggan": {"iterations": 2, "batch": 8, "noise": 4, "width": 8},
}
_RECIPES: dict[str, dict[str, Any]] = {
    "dsa": {"epochs": 2},
    "dc": {"epochs": 2, "augmentation": "dc_crop_scale_rotate_noise"},
}
_RECIPES |= {name: {"epochs": 1} for name in ("search", "plain", "ncfm", "frepo")}
# In recipes for whole data sets a step has half of the images.
_WHOLE = ("whole", "features", "sequence", "pool", "expert", "search_whole", "teacher")
_RECIPES |= {name: {"epochs": 1, "batch": 750} for name in _WHOLE}
_RECIPES["expert"]["epochs"] = 2  # the number that its job trains

# Variants that run other branches than their methods.
VARIANTS = (
    *("dsac", "idc-i", "kip-labels", "ncfm-first", "dsa-independent", "dsa-none", "dm-pool-random"),
    *("mmd-polynomial", "mmd-rbf", "mmd-laplacian", "herding-nearest"),
)

_FEATURES = ("herding", "forgetting", "kcenter")
_GENERATORS = ("gmmn", "vae", "biggan")

# Columns of rows that a device or a clock may change.
_MEASURED = ("device", "train_seconds", "test_seconds", "condense_seconds", "condense_device", *USE.names)


@dataclass(frozen=True)
class Job:
    """One run of a script.

    Attributes:
        name: name of the job and of its output.
        script: its name in scripts/.
        arguments: its options; ``{before}`` stands for the folder of the outputs of earlier jobs.
        suffix: suffix of its output.
        network: the network, for scripts that take one.
        data: the data sets.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    suffix: str = ".safetensors"
    network: str = NETWORK
    data: tuple[str, ...] = DATA[:1]

    @property
    def file(self) -> str:
        """The file, or the folder, that it writes."""
        return self.name + self.suffix

    @property
    def needs(self) -> set[str]:
        """The outputs of earlier jobs that it reads, by name."""
        return set(re.findall(r"{before}/([^/ ]+)", " ".join(self.arguments)))


def _condensing(method: str, **changed: Any) -> Job:
    arguments = ["--method", method, "--ipc", "1", "--seed", "0"]
    if method.startswith(_FEATURES):
        arguments += ["--with", "features={before}/pretrain.safetensors"]
    if method.startswith("dm-pool"):
        arguments += ["--with", "pool={before}/pool.safetensors"]
    if method.startswith(("dance", "ncfm")):
        arguments += ["--with", "pairs={before}/pairs.safetensors"]
    if method == "mtt":
        arguments += ["--with", "experts={before}/experts.safetensors"]
    if method.startswith(("dc", "dsa", "mmd")):
        arguments += ["--only", "0-2"]
    if method in _GENERATORS:
        arguments += ["--with", f"generator={{before}}/train_generator-{method}.safetensors"]
    fields: dict[str, Any] = {
        "name": f"condense-{method}",
        "script": "condense",
        "arguments": tuple(arguments),
    }
    return Job(**fields | changed)


def every() -> list[Job]:
    """Return the jobs, each after those whose files it reads."""
    seed, dm = ("--seed", "0"), "{before}/condense-dm.safetensors"
    reshaped, bn = "{before}/condense-reshaped.safetensors", f"{NETWORK}-bn"
    jobs = [
        Job("pretrain", "pretrain", seed),
        Job("pairs", "pairs"),
        Job("pool", "pool"),
        Job("experts", "experts", ("--epochs", "2")),
        *(Job(f"train_generator-{kind}", "train_generator", ("--method", kind, *seed), network="")
          for kind in _GENERATORS),
        *map(_condensing, (*method_names(), *VARIANTS)),
        *(_condensing(method, name=f"condense-{method}-bn", network=bn) for method in ("dm", "dsa")),
        _condensing("random", name="condense-reshaped", arguments=(
            "--method", "random", "--ipc", "1", *seed, "--shape", "3x8x8")),
        _condensing("dm", name="condense-snapshots", suffix="", arguments=(
            "--method", "dm", "--ipc", "1", *seed, "--snapshots", "1,2")),
    ]  # fmt: skip
    jobs.append(
        _condensing(
            "dm",
            name="condense-validated",
            suffix="",
            arguments=("--method", "dm", "--ipc", "1", *seed, "--snapshots", "1,2", "--validation", "0.2"),
        )
    )
    jobs.append(Job("best", "best", ("{before}/condense-validated", "--recipe", "dsa", "--networks", "2")))
    synthetic, two = ("--synthetic", dm), ("--networks", "2")
    rows = [
        Job("evaluate-dsa", "evaluate", (*synthetic, "--recipe", "dsa", *two)),
        Job("evaluate-dc", "evaluate", (*synthetic, "--recipe", "dc", *two)),
        Job("evaluate-learned", "evaluate", (
            "--synthetic", "{before}/condense-dd.safetensors", "--recipe", "learned", *two)),
        Job("evaluate-soft", "evaluate", (
            "--synthetic", "{before}/condense-ld.safetensors", "--recipe", "plain", *two)),
        Job("evaluate-ncfm", "evaluate", (*synthetic, "--recipe", "ncfm", *two)),
        Job("evaluate-frepo", "evaluate", (*synthetic, "--recipe", "frepo", *two)),
        Job("evaluate-bn", "evaluate", (*synthetic, "--recipe", "dsa", *two), network=bn),
        Job("evaluate-whole", "evaluate", ("--whole", "--recipe", "whole")),
        Job("evaluate-snapshot", "evaluate", (
            "--synthetic", "{before}/condense-snapshots/step1.safetensors", "--recipe", "dsa", *two)),
        Job("continual", "continual", ("--memory", dm, "--steps", "2", "--order", "0", *two)),
        Job("continual_domains", "continual_domains", ("--memory", reshaped, *seed, *two), data=DATA),
        Job("search-proxy", "search", ("--proxy", dm), network=""),
        Job("search-early", "search", ("--early-stopping",), network=""),
        Job("search-whole", "search", ("--whole",), network=""),
        Job("search_test", "search_test", ("--rows", "{before}/search-proxy.parquet"), network=""),
    ]  # fmt: skip
    jobs += [Job(j.name, j.script, j.arguments, ".parquet", j.network, j.data) for j in rows]
    jobs.append(Job("relabel", "relabel", (dm, "--epochs", "1")))
    sets = ("--sets", dm, "--classes", "3", "--real-images", "10")
    jobs.append(Job("embedding", "embedding", ("--features", "{before}/pretrain.safetensors", *sets), ".png"))
    return jobs


class Bench:
    """A folder in which the jobs run: their configuration, prepared data, and outputs.

    Args:
        folder: created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        """Write the lowered configuration and prepare the digits."""
        self._folder, self._jobs = folder, every()
        shutil.copytree(ROOT / "config", self.config, dirs_exist_ok=True)
        path = self.config / "protocols" / "smoke.yaml"
        smoke = yaml.safe_load(path.read_text())
        for name, values in _METHODS.items():
            smoke["methods"][name]["parameters"] |= values
        for name, values in _RECIPES.items():
            smoke["recipes"].setdefault(name, {"parameters": {}})["parameters"] |= values
        smoke["search"] |= {"networks": 2, "networks_per_job": 2}
        smoke["pool"] |= {"states": 2}
        path.write_text(yaml.safe_dump(smoke, sort_keys=False))
        config = load_config(self.config, "smoke")
        for name in DATA:
            data.prepare(name, config.datasets[name], folder / "raw", self.prepared(name))

    @property
    def config(self) -> Path:
        """The folder with the configuration."""
        return self._folder / "config"

    def prepared(self, name: str) -> Path:
        """Return the folder of a prepared data set."""
        return self._folder / "prepared" / name

    def on(self, device: str) -> Path:
        """Return the folder of the outputs of jobs on a device."""
        folder = self._folder / device.replace(":", "")
        folder.mkdir(exist_ok=True)
        return folder

    def expected(self, job: Job) -> Path:
        """Run a job on the CPU unless that was done before, and return the path of its output."""
        out = self.on("cpu") / job.file
        return out if out.exists() else self.run(job, "cpu")

    def run(self, job: Job, device: str) -> Path:
        """Run a job on a device, from the CPU's outputs of earlier jobs, and return the path of its output.

        The CPU stacks networks as other devices do, so that both run the same computation.

        Raises:
            SystemExit: the script ended with an error, which it has printed.
        """
        for each in self._jobs:
            if each.file in job.needs:
                self.expected(each)
        out = self.on(device) / job.file
        options = ["--config", self.config, "--protocol", "smoke", "--device", device, "--threads", 1]
        options += ["--data", *job.data, "--prepared", *map(self.prepared, job.data), "--out", out]
        options += ["--network", job.network] if job.network else []
        arguments = [argument.format(before=self.on("cpu")) for argument in job.arguments]
        with _arguments([f"{job.script}.py", *arguments, *map(str, options)]), _stacking():
            try:
                runpy.run_path(str(ROOT / "scripts" / f"{job.script}.py"), run_name="__main__")
            except SystemExit as end:
                if end.code:
                    raise
        return out


@contextlib.contextmanager
def _stacking() -> Iterator[None]:
    before = Device.stack_networks
    Device.stack_networks = property(lambda device: True)  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Device.stack_networks = before  # type: ignore[method-assign]


@contextlib.contextmanager
def _arguments(words: Sequence[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, list(words)
    try:
        yield
    finally:
        sys.argv = before


def differences(one: Path, other: Path) -> dict[str, float]:
    """Compare the outputs of a job on two devices.

    Returns:
        Name of each tensor or numeric column that differs -> its largest difference: of tensors in their
        standard deviations (absolute for constant tensors), of columns absolute. Values that are not numbers,
        and other shapes, differ by infinity; times and names of devices are left out.
    """
    if one.is_dir():
        files = sorted(path.name for path in one.iterdir())
        parts = [differences(one / name, other / name) for name in files]
        return {
            f"{name} {key}": v for name, part in zip(files, parts, strict=True) for key, v in part.items()
        }
    if one.suffix == ".safetensors":
        return _of_tensors(read_tensors(one)[0], read_tensors(other)[0])
    if one.suffix == ".png":
        one, other = one.with_suffix(".csv"), other.with_suffix(".csv")
    read = pd.read_csv if one.suffix == ".csv" else pd.read_parquet
    return _of_rows(*(read(path).drop(columns=[*_MEASURED], errors="ignore") for path in (one, other)))


def _of_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> dict[str, float]:
    found = dict.fromkeys(one.keys() ^ other.keys(), float("inf"))
    for name in one.keys() & other.keys():
        if one[name].shape != other[name].shape:
            found[name] = float("inf")
        elif not torch.equal(one[name], other[name]):
            first, second = one[name].double(), other[name].double()
            scale = first.std().item() if first.numel() > 1 else 0.0
            found[name] = ((first - second).abs().max() / (scale or 1)).nan_to_num(float("inf")).item()
    return found


def _of_rows(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    if list(one.columns) != list(other.columns) or len(one) != len(other):
        return {"rows": float("inf")}
    found = {}
    for name in one:
        first, second = one[name], other[name]
        if first.equals(second):
            continue
        numbers = pd.api.types.is_float_dtype(first) and first.isna().equals(second.isna())
        found[name] = float(np.nanmax(np.abs(first - second))) if numbers else float("inf")
    return found
