r"""Train fresh networks on a synthetic set, or on the whole training set, and test them.

Writes one Parquet row per trained network; those of a snapshot also have its iteration and time.

Examples:
    python scripts/evaluate.py --data digits --synthetic dm.safetensors --recipe dsa --protocol smoke \
        --out rows.parquet
    python scripts/evaluate.py --data digits --whole --recipe whole --protocol smoke --out rows.parquet
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from condensery import console
from condensery.identity import set_columns
from condensery.jobs.arguments import MOST_SEED, add_arguments, add_networks_argument, opened
from condensery.progress import Progress
from condensery.reporting import description
from condensery.rows import EVALUATION, SNAPSHOT, write_rows
from condensery.run import Run
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import evaluate, network_seeds
from condensery.training.samples import Samples


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--set", "--synthetic", type=Path, dest="synthetic", metavar="SET", help="train on this synthetic set"
    )
    source.add_argument("--whole", action="store_true", help="train on the whole training set")
    parser.add_argument("--recipe", required=True, metavar="NAME", help="an entry of config/recipes.yaml")
    add_networks_argument(parser)
    parser.add_argument(
        "--seed",
        type=console.whole_number("--seed", 0, MOST_SEED),
        metavar="N",
        help="seed of the set; default: the one in its provenance, or 0",
    )
    return parser.parse_args()


def when_taken(synthetic: SyntheticSet) -> dict[str, Any]:
    """Return the additional columns of a snapshot's rows; a finished set has none."""
    taken = synthetic.provenance.get("snapshot")
    if taken is None:
        return {}
    return {"step": taken["step"]} | {f"condense_{name}": taken[name] for name in ("seconds", "device")}


def main() -> None:
    """Train, test and write the rows.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the set is of another data set, or the
            recipe needs learning rates that the set does not carry.
    """
    args = parse()
    job = opened(args)
    about: dict[str, Any] = {"method": "whole", "ipc": 0, "network": "", "seed": 0}
    synthetic, snapshot, storage = None, {}, {}
    if args.whole:
        samples, count = Samples.of_split(job.data.train, job.device), 1
    else:
        synthetic = job.load_set(args.synthetic)
        samples, count = Samples.of_set(synthetic, job.device), job.config.spec["networks"]
        # The provenance of an imported set has fewer entries.
        about |= {"method": "imported", "ipc": len(synthetic) // len(synthetic.classes)}
        about |= synthetic.provenance.get("experiment", {})
        snapshot = when_taken(synthetic)
        if synthetic.formation > 1 or synthetic.labels.ndim == 2:
            storage = synthetic.storage()
    count = count if args.networks is None else args.networks
    set_seed = about["seed"] if args.seed is None else args.seed
    seeds = network_seeds(set_seed, count)
    recipe = job.recipe(args.recipe, about["ipc"], synthetic)
    sets = [synthetic] if synthetic else []
    checkpoint = job.checkpoint(
        args.out,
        job.provenance(
            set=set_columns(sets), recipe=recipe.stated(), network=job.network, networks=count, seed=set_seed
        ),
    )
    label = f"{about['method']} {args.data} ipc {about['ipc']} seed {set_seed}, recipe {recipe.name}"
    with Progress(label, count * recipe.epochs_run, "epochs") as progress:
        outcomes = evaluate(
            job.network,
            samples,
            job.data.test,
            recipe,
            seeds,
            job.device,
            run=Run(checkpoint, progress),
        )
    common = job.training_columns(about, recipe, sets) | {"set_seed": set_seed, "images": len(samples)}
    kind = SNAPSHOT if snapshot else EVALUATION
    write_rows([common | snapshot | storage | outcome.columns() for outcome in outcomes], args.out, kind)
    checkpoint.remove()
    job.log_use()
    print(description.numbers(args.out, args.config / "published"))
