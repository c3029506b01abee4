"""Keep the snapshot of a set with the best accuracy on validation images, which condensing did not use.

The snapshots are those of scripts/condense.py with --snapshots and --validation. Networks are trained on each
and tested on the validation images, never on test images. The snapshot with the highest mean accuracy is
kept; if several share it, the earliest.

Example:
    python scripts/experts.py --data digits --protocol smoke --validation 0.1 --out experts.safetensors
    python scripts/condense.py --data digits --protocol smoke --method mtt --ipc 1 --seed 0 --validation 0.1 \
        --with experts=experts.safetensors --snapshots 2,4 --out snapshots
    python scripts/best.py snapshots --data digits --protocol smoke --recipe mtt --out best.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from condensery import console
from condensery.errors import CondenseryError
from condensery.jobs.arguments import add_arguments, add_networks_argument, opened
from condensery.jobs.opening import Job
from condensery.progress import Progress
from condensery.run import Run
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import SEEDS_PER_SET, evaluate, network_seeds
from condensery.training.samples import Samples


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the snapshots")
    add_arguments(parser)
    parser.add_argument("--recipe", required=True, metavar="NAME", help="an entry of config/recipes.yaml")
    add_networks_argument(parser)
    return parser.parse_args()


def read(folder: Path, job: Job) -> list[SyntheticSet]:
    """Return the snapshots of a folder in the order of their steps.

    Raises:
        CondenseryError: the folder has no sets, or a set is not a snapshot, is a snapshot of another set, or
            was condensed without validation images.
    """
    found = [job.load_set(path) for path in folder.glob("*.safetensors")]
    for each in found:
        if "snapshot" not in each.provenance or "split" not in each.provenance["experiment"]:
            raise CondenseryError(
                f"{each.source}: no snapshot that was made without validation images: make them with "
                "scripts/condense.py --snapshots LIST --validation SHARE"
            )
    if not found:
        raise CondenseryError(f"{folder}: no snapshots (.safetensors): give what scripts/condense.py wrote")
    if any(each.provenance["experiment"] != found[0].provenance["experiment"] for each in found):
        raise CondenseryError(f"{folder}: snapshots of different sets: give those of one")
    return sorted(found, key=lambda each: int(each.provenance["snapshot"]["step"]))


def main() -> None:
    """Train on each snapshot, validate, and write the best.

    Raises:
        CondenseryError: the arguments or the configuration are invalid, or a snapshot cannot be used.
    """
    args = parse()
    job = opened(args)
    snapshots = read(args.folder, job)
    about: dict[str, Any] = snapshots[0].provenance["experiment"]
    job = job.held_out(about["split"])
    count = job.config.spec["networks"] if args.networks is None else args.networks
    # The last seeds of the set: its evaluation uses the first, so that no network serves both.
    seeds = network_seeds(about["seed"], SEEDS_PER_SET)[-count:]
    accuracies = []
    for each in snapshots:
        step = each.provenance["snapshot"]["step"]
        recipe = job.recipe(args.recipe, about["ipc"], each)
        with Progress(f"step {step}, recipe {recipe.name}", count * recipe.epochs_run, "epochs") as progress:
            samples = Samples.of_set(each, job.device)
            run = Run(progress=progress)
            outcomes = evaluate(job.network, samples, job.data.test, recipe, seeds, job.device, run=run)
        accuracies.append(sum(outcome.accuracy for outcome in outcomes) / count)
        print(f"step {step}: {accuracies[-1]:.2f} % of the validation images")
    chosen = snapshots[accuracies.index(max(accuracies))]
    # How the snapshot was selected is a setting of the set; the result of the selection is not.
    taken = chosen.provenance.pop("snapshot")
    selected = {"recipe": recipe.stated(), "network": job.network, "networks": count}
    validated = {"step": taken["step"], "accuracy": max(accuracies)}
    chosen.provenance = chosen.provenance | {"selected": selected, "validated": validated}
    chosen.save(args.out)
    job.log_use()
