"""Train some of the networks of a pool and store states during training, each with its validation accuracy.

The protocol's `pool` gives the number of networks, the number of states and the share of training images
that is held out to measure accuracy. The test images are not used.

Example:
    python scripts/pool.py --data digits --protocol smoke --part 1-of-2 --out pool1.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch

from condensery import console
from condensery.experiment.plans import POOL_RECIPE, state_steps
from condensery.jobs.arguments import add_arguments, add_part_argument, opened
from condensery.jobs.opening import Job
from condensery.pool import states, store
from condensery.progress import Progress
from condensery.run import Run
from condensery.search.space import part
from condensery.training import stacking
from condensery.training.recipes import Recipe


def parse(description: str) -> argparse.Namespace:
    """Read the command line.

    Args:
        description: the docstring of the command.
    """
    parser = console.parser(description)
    add_arguments(parser)
    add_part_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Train, test, write the states and print the number of states per accuracy group.

    Raises:
        CondenseryError: an argument or the configuration is invalid, or the protocol has no pool.
    """
    args = parse(__doc__)
    job = opened(args)
    plan = job.config.required_pool()
    job = job.held_out(plan.split)
    recipe = job.recipe(POOL_RECIPE)
    steps = state_steps(recipe.epochs_run * states.batches(job.data, recipe), plan.states)
    taken = train(args, job, recipe, plan.networks, steps)
    for group, count in store.count_groups(taken).items():
        print(f"group {group}: {count} of {len(taken)} states")


def train(
    args: argparse.Namespace,
    job: Job,
    recipe: Recipe,
    networks: int,
    steps: Sequence[int],
    *,
    dtype: torch.dtype = torch.float16,
) -> list[store.State]:
    """Train the networks of a part, write their states and return them.

    Args:
        args: what `parse` returned.
        job: the networks train on the training split of its data; accuracies are measured on the test split,
            unless that is empty.
        recipe: how the networks are trained.
        networks: the number of networks in all parts together.
        steps: the numbers of steps after which a state is taken.
        dtype: of the stored weights.

    Raises:
        CondenseryError: ``--part`` does not name a part.
    """
    provenance = job.provenance(
        network=job.network, recipe=recipe.stated(), networks=networks, steps=list(steps)
    )
    wanted = part(range(networks), args.part)
    stacks = stacking.groups(job.network, job.data.info, recipe.batch, wanted, job.device)
    checkpoints = [
        job.checkpoint(args.out, provenance, f"networks{numbers[0]}to{numbers[-1]}") for numbers in stacks
    ]
    taken = []
    with Progress(f"networks {args.data} {args.part}", len(wanted) * recipe.epochs_run, "epochs") as progress:
        done = 0
        for numbers, checkpoint in zip(stacks, checkpoints, strict=True):
            count = len(numbers)
            taken += states.train_states(
                job.data,
                job.network,
                recipe,
                numbers,
                steps,
                job.device,
                dtype=dtype,
                run=Run(checkpoint, progress).counting(done, count),
            )
            done += count * recipe.epochs_run
    store.write(args.out, taken, provenance)
    job.remove_checkpoints(args.out)
    job.log_use()
    return taken
