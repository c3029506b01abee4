# What the rules share: the configuration, the grammar of paths, and what a job needs.
import os
import sys
from pathlib import Path

from condensery.errors import CondenseryError
from condensery.experiment import Evaluation, SetId, WholeEvaluation, load_config

# The jobs run in the environment that Snakemake runs in, whether or not it is activated.
os.environ.update(
    PATH=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    )
)

# `config` holds what the command line gave; everything else is read, and checked, by the library.
try:
    CONFIG = load_config(Path("config"), settings=config)
except CondenseryError as error:
    sys.exit(f"error: {error}")

PROTOCOL = CONFIG.protocol
DATA = CONFIG.settings["data_dir"]
PRECISION = CONFIG.precision
DEVICE = CONFIG.settings["device"]
THREADS = CONFIG.settings["threads"]
GPU = CONFIG.settings["gpu"]

NETWORKS = CONFIG.networks()

SET = "{dataset}/{method}/{network}/ipc{ipc}/seed{seed}"
SPLIT = CONFIG.settings["classes_per_job"] is not None
PART = f"{SET}/classes{{shard}}" if SPLIT else SET

RESULTS = f"results/{PROTOCOL}"
TABLES = [f"{RESULTS}/tables/table1.csv"]
FIGURES = [f"{RESULTS}/figures/figure2.png"]


def set_path(s: SetId) -> str:
    return f"{RESULTS}/synthetic/{SET.format(**s._asdict())}.safetensors"


def rows_path(e: Evaluation | WholeEvaluation) -> str:
    if isinstance(e, WholeEvaluation):
        return f"{RESULTS}/accuracy/{e.dataset}/whole/{e.recipe}-{e.network}/seed{e.seed}.parquet"
    return f"{RESULTS}/accuracy/{SET.format(**e.set._asdict())}/{e.recipe}-{e.network}.parquet"


def sets(wildcards) -> list[str]:
    return [set_path(s) for s in CONFIG.target_sets(wildcards.figure)]


def rows(wildcards) -> list[str]:
    target = wildcards.table
    return [
        rows_path(e)
        for e in CONFIG.target_evaluations(target) + CONFIG.target_wholes(target)
    ]


def features(wildcards) -> list[str]:
    needed = CONFIG.method(wildcards.method)["needs_features"]
    path = f"{RESULTS}/features/{wildcards.dataset}/{wildcards.network}/seed{wildcards.seed}.safetensors"
    return [path] if needed else []


def shards(wildcards) -> list[str]:
    w = wildcards
    folder = f"{RESULTS}/synthetic/{SET.format(**w)}"
    return [
        f"{folder}/classes{shard}.safetensors"
        for shard in CONFIG.shards(w.dataset, w.method, w.network)
    ]


def content(wildcards) -> dict:
    # What the prepared bytes depend on: another place to find them makes nothing anew.
    entry = CONFIG.dataset(wildcards.dataset)
    return {
        key: entry.get(key)
        for key in ("channels", "size", "classes", "mean", "std", "content")
    }


def method(wildcards) -> dict:
    w = wildcards
    values = CONFIG.parameters(w.dataset, w.method, w.network, int(w.ipc))
    return values | {"augmentation": CONFIG.augmentation(w.dataset)}


def recipe(wildcards) -> dict:
    w = wildcards
    return CONFIG.recipe(w.get("recipe", "features"), w.dataset, int(w.get("ipc", 0)))


def minutes(wildcards, attempt: int) -> int:
    # A GPU of 2018 needs 72 minutes for the longest CIFAR-10 set and 9 hours for a set of TinyImageNet (DM).
    height, width = CONFIG.dataset(wildcards.dataset)["size"]
    return attempt * (
        60 + 2 * CONFIG.class_count(wildcards.dataset) * height * width // 1000
    )


def megabytes(wildcards, attempt: int) -> int:
    # The library and, four times, the synthetic images and 256 real ones of every class as float32.
    entry = CONFIG.dataset(wildcards.dataset)
    height, width = entry["size"]
    images = CONFIG.class_count(wildcards.dataset) * (
        256 + int(wildcards.get("ipc", 0))
    )
    return attempt * (
        4000 + 16 * images * entry["channels"] * height * width // 1000000
    )
