"""Train some of the experts of a data set and store their weights after each epoch.

They are trained by the recipe `expert` on all training images; the test images are not used. The protocol's
`experts` gives their number.

Example:
    python scripts/experts.py --data digits --protocol smoke --part 1-of-2 --out experts1.safetensors
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from condensery import console
from condensery.commands.pool import train
from condensery.data.views import training_only
from condensery.errors import CondenseryError
from condensery.experiment.plans import EXPERT_RECIPE
from condensery.jobs.arguments import (
    add_arguments,
    add_part_argument,
    add_validation_argument,
    opened,
    without_validation,
)
from condensery.pool import states


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser)
    add_part_argument(parser)
    add_validation_argument(parser)
    parser.add_argument(
        "--epochs",
        type=console.whole_number("--epochs", 1, 10**6),
        metavar="N",
        help="epochs; default: as many as the protocol's sets of this data set and network look at",
    )
    return parser.parse_args()


def main() -> None:
    """Train the experts of one part, and write their states.

    Raises:
        CondenseryError: an argument or the configuration is invalid, or the recipe `expert` has too few
            epochs or a learning rate that is not constant.
    """
    args = parse()
    job = without_validation(args, opened(args))
    job = replace(job, data=training_only(job.data))
    plan = job.config.required_experts()
    epochs = args.epochs or job.config.expert_epochs(job.name, job.network)
    recipe = job.recipe(EXPERT_RECIPE)
    if recipe.schedule.kind != "constant" or epochs > recipe.epochs:
        raise CondenseryError(
            f"recipe {EXPERT_RECIPE}: has {recipe.epochs} epochs of schedule {recipe.schedule.kind}, but "
            f"{epochs} at a constant rate are needed: change it in config/recipes.yaml or the protocol"
        )
    recipe = replace(recipe, epochs=epochs)
    steps = [epoch * states.batches(job.data, recipe) for epoch in range(epochs + 1)]
    train(args, job, recipe, plan.networks, steps, dtype=torch.float32)
