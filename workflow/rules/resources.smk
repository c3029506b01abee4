# What jobs request from a scheduler: time, memory, GPUs, and which of them share a submission.
from condensery import cost
from condensery.machine import slots

# On this machine (--cores), as many jobs with a GPU run at once as it has GPUs.
HERE = slots.visible(os.environ) if workflow.nodes is None else 0
if HERE:
    workflow.global_resources.setdefault("gpu", HERE)

ALL_RATES = cost.read_rates(SOURCE / "benchmarks/rates.yaml", CONFIG)
RATES = ALL_RATES["gpu" if GPU else "cpu"]
LIMITS = RATES.for_limits(CONFIG.settings["precision"] or "fp32")
LEAST = 10  # minutes: starting Snakemake and the library on a busy file system
MARGIN = 2  # multiple of the minutes estimated from the rates
SHORT = 5  # minutes up to which jobs share a submission
UNKNOWN = 120  # minutes of a job of unknown work


def estimate(w, rule: str, rates) -> float:
    work = cost.of_job(CONFIG, rule, w)
    return rates.seconds(work) / 60 if work else UNKNOWN


def minutes(wildcards, attempt: int, rulename: str) -> int:
    # Enough for the slowest node. The next attempt resumes from the checkpoint, and still gets more time, since the
    # file system may be slow.
    return attempt * (LEAST + round(MARGIN * estimate(wildcards, rulename, LIMITS)))


def megabytes(wildcards, attempt: int) -> int:
    # The library with its memory for a GPU, or the activations without one; and four float32 copies of the
    # synthetic images of the job and, where its classes do not go through the network in turn, 256 real ones of each.
    images = int(wildcards.get("ipc", 0)) + (0 if in_turn(wildcards) else 256)
    floats = cost.image_floats(CONFIG, wildcards.dataset)
    count = cost.classes_of_job(CONFIG, wildcards)
    return attempt * (6000 + 16 * floats * count * images // 1000000)


def step_megabytes(wildcards, attempt: int) -> int:
    # The library, and a data set or two in memory.
    return attempt * 8000


def in_turn(w) -> bool:
    return bool(w.get("ipc")) and CONFIG.independent(w.method, w.network)


def short(rule: str):
    # Short jobs of a cell share a submission, at most --group-components of `short`. Jobs of one group must not
    # depend on each other, since Slurm's step for them would request the GPUs of all.
    def group(w) -> str | None:
        if estimate(w, rule, RATES) > SHORT:
            return None
        name = f"{rule}-{w.dataset}-{w.method}-{w.network}-ipc{w.ipc}"
        workflow.parent_groupids[name] = "short"
        return name

    return group


# The resources of a job that makes a table or a figure, and of every job that computes on a GPU, if there is one.
REPORT_JOB = {"mem_mb": 2000, "runtime": 10}
GPU_JOB = {"mem_mb": megabytes, "runtime": minutes, "gpu": GPU, "device": DEVICE}
