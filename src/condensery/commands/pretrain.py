"""Train the network whose features the coreset methods use, or a teacher, on the whole training set.

Example:
    python scripts/pretrain.py --data digits --seed 0 --protocol smoke --out features.safetensors
    python scripts/pretrain.py --data cifar10 --seed 0 --recipe teacher --out teacher.safetensors
"""

from __future__ import annotations

import argparse

from condensery import console
from condensery.files import write_tensors
from condensery.jobs.arguments import (
    add_arguments,
    add_seed_argument,
    add_view_arguments,
    opened,
    training_data,
    view,
)
from condensery.progress import Progress
from condensery.run import Run
from condensery.training.pretrained import pretrain


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser)
    add_view_arguments(parser)
    add_seed_argument(parser, "the network")
    parser.add_argument(
        "--recipe",
        default="features",
        metavar="NAME",
        help="an entry of config/recipes.yaml; default: %(default)s",
    )
    return parser.parse_args()


def main() -> None:
    """Train the network, and write it with its forgetting events.

    Raises:
        CondenseryError: an argument or the configuration is invalid.
    """
    args = parse()
    job = opened(args)
    recipe = job.recipe(args.recipe)
    real = training_data(args, job)
    provenance = job.provenance(network=job.network, seed=args.seed, recipe=recipe.stated(), **view(args))
    checkpoint = job.checkpoint(args.out, provenance)
    with Progress(f"{args.recipe} {args.data} seed {args.seed}", recipe.epochs_run, "epochs") as progress:
        tensors = pretrain(
            real,
            job.network,
            recipe,
            args.seed,
            job.device,
            run=Run(checkpoint, progress),
        )
    about = {"dataset": real.info.name, "network": job.network, "provenance": provenance}
    write_tensors(args.out, tensors, about)
    checkpoint.remove()
    job.log_use()
