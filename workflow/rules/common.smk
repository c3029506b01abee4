# What the rules share: the configuration, the grammar of paths, and what a job needs.
import os
import sys
from pathlib import Path

from condensery.errors import CondenseryError
from condensery.experiment import Evaluation, SetId, WholeEvaluation, load_config

# The jobs run in the environment that Snakemake runs in, whether or not it is activated.
PATH = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
os.environ.update(PATH=os.pathsep.join(PATH))

# `config` holds what the command line gave; everything else is read, and checked, by the library.
try:
    CONFIG = load_config(Path("config"), settings=config)
    CONFIG.refuse_unlisted(sys.argv)
except CondenseryError as error:
    sys.exit(f"error: {error}")

PROTOCOL = CONFIG.protocol
PRECISION = CONFIG.precision
DATA = CONFIG.settings["data_dir"]
DEVICE = CONFIG.settings["device"]
GPU = CONFIG.settings["gpu"]
THREADS = CONFIG.settings["threads"]
NETWORKS = CONFIG.networks()

SET = "{dataset}/{method}/{network}/ipc{ipc}/seed{seed}"
PART = f"{SET}/classes{{shard}}"
SPLIT = [dataset for dataset in CONFIG.datasets if CONFIG.classes_per_job(dataset)]

RESULTS = f"results/{PROTOCOL}"
FIGURES = [name for name in CONFIG.spec["targets"] if name.startswith("figure")]
TABLES = [name for name in CONFIG.spec["targets"] if name not in FIGURES]
CONTINUAL = list(CONFIG.spec.get("continual", {}))  # a table and a figure each
SEARCH = CONFIG.search
POOL = CONFIG.pool

# Everything that `all` makes and the report shows.
ALL_TABLES = [*TABLES, *CONTINUAL, *(["table5"] if SEARCH else [])]
TABLE_FILES = ["csv", "md", "tex", "json", "cost.csv", "cost.md"]
ALL_FIGURES = [*FIGURES, *CONTINUAL, *(["figure_nas"] if SEARCH else [])]


def set_path(s: SetId) -> str:
    return f"{RESULTS}/synthetic/{SET.format(**s._asdict())}.safetensors"


def rows_path(e: Evaluation | WholeEvaluation) -> str:
    if isinstance(e, WholeEvaluation):
        return f"{RESULTS}/accuracy/{e.dataset}/whole/{e.recipe}-{e.network}/seed{e.seed}.parquet"
    return f"{RESULTS}/accuracy/{SET.format(**e.set._asdict())}/{e.recipe}-{e.network}.parquet"


def sets(wildcards) -> list[str]:
    return [set_path(s) for s in CONFIG.target_sets(wildcards.figure)]


def rows(w) -> list[str]:
    trained = CONFIG.target_evaluations(w.table) + CONFIG.target_wholes(w.table)
    return [*map(rows_path, trained)]


def shards(w) -> list[str]:
    folder = f"{RESULTS}/synthetic/{SET.format(**w)}"
    parts = CONFIG.shards(w.dataset, w.method, w.network)
    return [f"{folder}/classes{part}.safetensors" for part in parts]


def content(wildcards) -> dict:
    # What the prepared bytes depend on: another place to find them makes nothing anew.
    entry = CONFIG.dataset(wildcards.dataset)
    aside = ("sources", "augmentation", "network", "smallest_class")
    return {key: entry[key] for key in entry if key not in aside}


def method(w) -> dict:
    values = CONFIG.parameters(w.dataset, w.method, w.network, int(w.ipc))
    return values | {"augmentation": CONFIG.augmentation(w.dataset)}


def recipe(w) -> dict:
    name, ipc = w.get("recipe", "features"), int(w.get("ipc", 0))
    return CONFIG.recipe(name, w.dataset, ipc, w.get("evaluation", w.get("network")))
