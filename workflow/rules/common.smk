# Shared by all rules: the configuration, the grammar of paths, and the options of jobs.
import os
import re
import shlex
import sys
from pathlib import Path

from condensery.errors import CondenseryError
from condensery.experiment import (
    Evaluation,
    SetId,
    WholeEvaluation,
    catalog,
    load_config,
    plans,
    settings,
    target_kinds,
)
from condensery.experiment.plans import EMBEDDING_SEED, embedding

# The workflow's own folder, which need not be the one that Snakemake runs in.
SOURCE = Path(str(workflow.current_basedir)).parents[1]
INSIDE = SOURCE == Path.cwd()
SETTINGS = (
    Path("config")
    if INSIDE or Path("config/config.yaml").exists()
    else SOURCE / "config"
)

# Jobs run in Snakemake's environment, activated or not, or in that of --sdm conda, which has the requirements of the
# package; the package itself is the one in this folder.
for variable, folder in (
    ("PATH", Path(sys.executable).parent),
    ("PYTHONPATH", SOURCE / "src"),
):
    known = os.environ.get(variable, os.defpath if variable == "PATH" else "")
    os.environ[variable] = os.pathsep.join(filter(None, [str(folder), known]))

# `config` holds the values of the command line; the library reads and checks everything else.
try:
    CONFIG = load_config(SETTINGS, settings=config)
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
SETTINGS_FILE = "results/{protocol}/settings/{target}.json"
SEARCH = CONFIG.search
POOL = CONFIG.pool
EXPERTS = CONFIG.experts

# All outputs of `all`, which the report shows.
ALL_TABLES, ALL_FIGURES = CONFIG.tables(), CONFIG.figures()
TABLE_FILES = ["csv", "md", "tex", "json", "cost.csv", "cost.md"]
FIGURE_FILES = ["png", "pdf"]


def named(kind: type[target_kinds.Target]) -> str:
    # The constraint of a rule to the targets of its kind. No target is called "none"; an empty one would allow any.
    return "|".join(CONFIG.listed(kind)) or "none"


def target_files(name: str) -> list[str]:
    tables = [f"tables/{name}.{suffix}" for suffix in TABLE_FILES]
    figures = [f"figures/{name}.{suffix}" for suffix in FIGURE_FILES]
    target = catalog.TARGETS[name]
    files = tables * target.tables + figures * target.figures
    return [f"{RESULTS}/{file}" for file in files]


def table_outputs(caption: str, name: str = "{target}") -> dict[str, str]:
    # The outputs of the rule for a kind of table; the caption is for Snakemake's report.
    path = f"results/{{protocol}}/tables/{name}"
    shown = report(
        f"{path}.md",
        caption=f"../report/{caption}.rst",
        category="Tables",
        labels={"protocol": "{protocol}", "table": name, "format": "Markdown"},
    )
    return {
        "csv": f"{path}.csv",
        "md": shown,
        "tex": f"{path}.tex",
        "json": f"{path}.json",
    }


def figure_outputs(caption: str, name: str = "{target}") -> dict[str, str]:
    path = f"results/{{protocol}}/figures/{name}"
    shown = report(
        f"{path}.png",
        caption=f"../report/{caption}.rst",
        category="Figures",
        labels={"protocol": "{protocol}", "figure": name, "format": "PNG"},
    )
    return {"png": shown, "pdf": f"{path}.pdf"}


def literal(path: Path) -> str:
    # A path in a command, with any characters.
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


SCRIPTS = "scripts" if INSIDE else literal(SOURCE / "scripts")

# The values in commands that have several words, each of which is quoted already.
SEVERAL_WORDS = ("params.view", "params.options", "params.trained", "params.on")


def quoted(match: re.Match) -> str:
    return match[0] if match[1] in SEVERAL_WORDS else f"{{{match[1]}:q}}"


def script(name: str, options: str, configured: bool = True) -> str:
    # The command of a job; its output is the log. A script that is not configured does not read config/. All values
    # are quoted for the shell.
    options += "" if INSIDE or not configured else f" --config {literal(SETTINGS)}"
    command = f"python {SCRIPTS}/{name}.py {options} > {{log}} 2>&1"
    return re.sub(r"(?<!\{)\{([a-z][\w.]*)\}", quoted, command)


def target_script(name: str, options: str) -> str:
    # The command of a job that makes a target, followed by a copy of the current settings.
    kept = "results/{wildcards.protocol}/settings"
    return f"{script(name, options)} && cp {{input.settings}} {kept}"


def job(name: str, options: str) -> str:
    # The command of a job that computes on the real data, with the options that all such jobs share.
    options += " --protocol {wildcards.protocol} --device {resources.device} --threads {threads} --out {output}"
    # Without a setting, the node of the job decides whether it supports the protocol's precision.
    if CONFIG.settings["precision"]:
        options += " --precision {params.precision}"
    return script(name, options)


def set_path(s: SetId) -> str:
    return f"{RESULTS}/synthetic/{SET.format(**s._asdict())}.safetensors"


def rows_path(e: Evaluation | WholeEvaluation) -> str:
    if isinstance(e, WholeEvaluation):
        return f"{RESULTS}/accuracy/{e.dataset}/whole/{e.recipe}-{e.network}/seed{e.seed}.parquet"
    return f"{RESULTS}/accuracy/{SET.format(**e.set._asdict())}/{e.recipe}-{e.network}.parquet"
