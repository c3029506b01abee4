r"""Let networks learn data sets in turn on a memory of the earlier ones, and test them on all so far.

The data sets have the same number of classes; their images are brought to one shape. Every network learns
the sequence twice, with and without distillation from its previous state, and where there is a set of the
last data set too, once more on the joint sets alone. Writes one Parquet row for each network, way of
learning, data set learned and data set tested.

Example:
    python scripts/continual_domains.py --data digits digits_inverted --seed 0 \
        --memory random.safetensors --protocol smoke --out rows.parquet
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from condensery import console
from condensery.continual import memory
from condensery.continual.domains import Learned, Task, epochs, learn, memories
from condensery.data.contents import Shape
from condensery.data.views import reshaped
from condensery.errors import CondenseryError
from condensery.experiment.memories import JOIN, RECIPE, SEQUENCE_RECIPE, common_shape
from condensery.identity import check_data, digest
from condensery.jobs import Job
from condensery.jobs.arguments import add_arguments, add_networks_argument, add_seed_argument, all_opened
from condensery.progress import Progress
from condensery.reporting import description
from condensery.rows import MEMORY, write_rows
from condensery.run import Run
from condensery.synthetic import SyntheticSet

# Networks of different seeds of a sequence have different seeds themselves.
SEEDS_PER_SEQUENCE = 1000


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser, several=True)
    add_seed_argument(parser, "the networks")
    parser.add_argument(
        "--sets",
        "--memory",
        type=Path,
        dest="memory",
        nargs="+",
        required=True,
        metavar="SET",
        help="synthetic sets of one method: one per data set in their order; the last may be left out",
    )
    add_networks_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Train, test and write the rows.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the number of sets does not match the
            data sets, or a set is not of its data set.
    """
    args = parse()
    jobs = all_opened(args)
    job = jobs[0]
    sets = [SyntheticSet.load(path) for path in args.memory]
    if len(jobs) < 2 or len(jobs) - len(sets) not in (0, 1):
        raise CondenseryError(
            f"--memory: {len(sets)} sets for {len(jobs)} data sets: give one of every data set; only the "
            "last may be left out"
        )
    about = sets[0].experiment("method", "ipc", "network")
    count = job.config.spec["networks"] if args.networks is None else args.networks
    tasks = tasks_of(jobs, sets, Shape(*common_shape(job.config, args.data)), about["ipc"])
    provenance = job.provenance(
        sequence=args.data,
        memory=[each.digest() for each in sets],
        others=[{**each.data.content, "files": each.data.files} for each in jobs[1:]],
        recipes=[recipe.stated() for task in tasks for recipe in (task.recipe, task.joint)],
        network=job.network,
        networks=count,
        seed=args.seed,
    )
    checkpoint = job.checkpoint(args.out, provenance)
    first = args.seed * SEEDS_PER_SEQUENCE
    label = f"{about['method']} {JOIN.join(args.data)} seed {args.seed}"
    with Progress(label, count * epochs(tasks), "epochs") as progress:
        learned = learn(
            job.network, tasks, range(first, first + count), job.device, run=Run(checkpoint, progress)
        )
    common = job.training_columns(about, tasks[0].recipe, sets) | {
        "dataset": JOIN.join(args.data),
        "order_seed": args.seed,
        "steps": len(tasks),
        "data": digest([dict(each.data.content) for each in jobs if each.data.content]),
    }
    rows = [common | row for one in learned for row in rows_of(one, tasks, args.data)]
    write_rows(rows, args.out, MEMORY)
    checkpoint.remove()
    job.log_use()
    print(description.numbers(args.out, args.config / "published"))


def tasks_of(jobs: list[Job], sets: list[SyntheticSet], shape: Shape, ipc: int) -> list[Task]:
    """Return the tasks, each with the memory that later tasks keep of it.

    Args:
        jobs: one per data set; the network of the first learns all of them.
        sets: the memories: one per data set, or one per data set but the last.
        shape: the common shape of all images.
        ipc: images per class of the memories.

    Raises:
        CondenseryError: a set does not belong to its data set.
    """
    tasks = []
    for job, kept in zip_longest(jobs, sets):
        real = reshaped(job.data, shape)
        if kept is not None:
            kept.check_against(real.info)
            check_data(kept.source, kept.provenance, job.data.content)
            kept = memory.remember([kept], tuple(range(len(real.info.classes))), ipc)
        learning = replace(job, network=jobs[0].network)
        tasks.append(Task(real, learning.recipe(SEQUENCE_RECIPE, ipc), learning.recipe(RECIPE, ipc), kept))
    return tasks


def rows_of(learned: Learned, tasks: list[Task], names: list[str]) -> list[dict[str, Any]]:
    """Return the rows of a network after one task: one row per data set that it is tested on.

    Args:
        learned: the network after the task. Its seconds are divided evenly among the rows.
        tasks: all tasks, in the order in which they are learned.
        names: the names of the data sets, likewise.
    """
    task, way = tasks[learned.step], learned.way
    sizes = memory.size(memories(tasks, learned.step))
    joint = memory.size(memories(tasks, learned.step + 1))
    recipe = task.joint if way.joint else task.recipe
    tests = len(learned.accuracies)
    # The first task has one training with and without distillation.
    shared = learned.step == 0 and not any(way)
    return [
        {
            "step": learned.step + 1,
            "task": names[learned.step],
            "tested": name,
            "recipe": recipe.name,
            "distillation": way.distillation,
            "classes_seen": len(task.data.info.classes),
            "network_seed": learned.network_seed,
            "images": joint["memory_images"] if way.joint else len(task.data.train) + sizes["memory_images"],
            "epochs": recipe.epochs,
            "accuracy": accuracy,
            "train_seconds": 0.0 if shared else learned.train_seconds / tests,
            "test_seconds": learned.test_seconds / tests,
            **sizes,
        }
        for name, accuracy in zip(names, learned.accuracies, strict=False)
    ]
