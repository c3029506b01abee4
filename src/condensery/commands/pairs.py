"""Train networks on the whole training set, and store the weights of each before and after its training.

The protocol's `pairs` gives the number of networks; the recipe is `teacher`. DANCE and NCFM condense with
these pairs. Accuracies are measured on the training images; the test images are not used.

Example:
    python scripts/pairs.py --data digits --protocol smoke --part 1-of-2 --out pairs1.safetensors
"""

from __future__ import annotations

from dataclasses import replace

from condensery.commands.pool import parse, train
from condensery.experiment.plans import PAIRS_RECIPE
from condensery.jobs.arguments import opened
from condensery.pool.states import batches


def main() -> None:
    """Train, test, write the pairs and print the training accuracies of the trained networks.

    Raises:
        CondenseryError: an argument or the configuration is invalid, or the protocol has no pairs.
    """
    args = parse(__doc__)
    job = opened(args)
    plan = job.config.required_pairs()
    job = replace(job, data=replace(job.data, test=job.data.train))
    recipe = job.recipe(PAIRS_RECIPE)
    steps = [0, recipe.epochs_run * batches(job.data, recipe)]
    for state in train(args, job, recipe, plan.networks, steps)[1::2]:
        print(f"network {state.network}: {state.accuracy:.1f} % of the training images")
