r"""Train new networks on a memory after every step of class-incremental learning, and test them.

Every step brings a group of classes. After each of them networks are trained from scratch on the memory of
all classes seen so far, and tested on all their test images. Writes one Parquet row for each trained network.

Example:
    python scripts/continual.py --data digits --steps 5 --order 0 --memory dm.safetensors --protocol smoke \
        --out rows.parquet
"""

from __future__ import annotations

import argparse
from itertools import accumulate
from pathlib import Path

from condensery import console
from condensery.continual import memory
from condensery.continual.classes import Step, learn, network_seeds
from condensery.experiment.memories import RECIPE
from condensery.experiment.orders import step_classes
from condensery.jobs.arguments import MOST_SEED, add_arguments, add_networks_argument, opened
from condensery.progress import Progress
from condensery.reporting import description
from condensery.rows import MEMORY, write_rows
from condensery.run import Run


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--steps",
        type=console.whole_number("--steps", 1, 1000),
        required=True,
        metavar="N",
        help="groups of classes, all of one size",
    )
    parser.add_argument(
        "--order",
        type=console.whole_number("--order", 0, MOST_SEED),
        required=True,
        metavar="N",
        help="seed of the order of classes",
    )
    parser.add_argument(
        "--sets",
        "--memory",
        type=Path,
        dest="memory",
        nargs="+",
        required=True,
        metavar="SET",
        help="synthetic sets of one method that together hold all classes, such as one per step",
    )
    add_networks_argument(parser, " per step")
    return parser.parse_args()


def main() -> None:
    """Train and test after every step, and write the rows.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the classes cannot be split evenly into
            the steps, or the sets do not make a memory.
    """
    args = parse()
    job = opened(args)
    sets = [job.load_set(path) for path in args.memory]
    about = sets[0].experiment("method", "ipc", "network")
    count = job.config.spec["networks"] if args.networks is None else args.networks
    groups = step_classes(args.order, len(job.data.info.classes), args.steps)
    recipe = job.recipe(RECIPE, about["ipc"])
    provenance = job.provenance(
        memory=[each.digest() for each in sets],
        recipe=recipe.stated(),
        network=job.network,
        networks=count,
        steps=args.steps,
        order=args.order,
    )
    common = job.training_columns(about, recipe, sets) | {
        "order_seed": args.order,
        "steps": args.steps,
        "task": args.data,
        "tested": args.data,
        "distillation": False,
    }
    steps = [
        Step(
            seen,
            memory.remember(sets, seen, about["ipc"]),
            network_seeds(args.order, args.steps, number, count),
        )
        for number, seen in enumerate(accumulate(groups))
    ]
    checkpoint = job.checkpoint(args.out, provenance)
    label = f"{about['method']} {args.data} order {args.order} steps {args.steps}"
    with Progress(label, args.steps * count * recipe.epochs_run, "epochs") as progress:
        learned = learn(job.data, steps, job.network, recipe, job.device, run=Run(checkpoint, progress))
    rows = []
    for number, (step, outcomes) in enumerate(zip(steps, learned, strict=True), start=1):
        facts = {"step": number, "classes_seen": len(step.classes), "images": len(step.memory)}
        facts |= memory.size([step.memory])
        rows += [common | facts | outcome.columns() for outcome in outcomes]
    write_rows(rows, args.out, MEMORY)
    checkpoint.remove()
    job.log_use()
    print(description.numbers(args.out, args.config / "published"))
