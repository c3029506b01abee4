"""Rank networks of the search space by how well they learn a proxy, and print the ranking.

Every network is trained on the proxy from scratch, once per repeat of the protocol, and ranked by its mean
accuracy on validation images, which are held out of the training images. With --test, the test accuracy is
recorded as well, but not used for the ranking. Writes one Parquet row per trained network.

Examples:
    python scripts/search.py --proxy dm.safetensors --data digits --protocol smoke
    python scripts/search.py --whole --data digits --protocol smoke --part 1-of-2 --out rows.parquet
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from condensery import console
from condensery.experiment import EARLY_STOPPING, Search
from condensery.identity import set_columns
from condensery.jobs import Job
from condensery.jobs.arguments import add_arguments, opened
from condensery.progress import Progress
from condensery.reporting import description
from condensery.rows import SEARCH, write_rows
from condensery.run import Run
from condensery.search import candidates, ranking, space
from condensery.search.candidates import rows_of
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser, network=False, default_out="NAME.search.parquet, with the name of the proxy")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--set", "--proxy", type=Path, dest="proxy", metavar="SET", help="train on this synthetic set"
    )
    source.add_argument(
        "--early-stopping",
        action="store_true",
        help="train on the whole training set, for as many steps as on the protocol's proxies",
    )
    source.add_argument("--whole", action="store_true", help="train on the whole training set")
    parser.add_argument(
        "--part",
        default="1-of-1",
        metavar="K-of-N",
        help="train this part of the networks; default: %(default)s",
    )
    parser.add_argument(
        "--test", action="store_true", help="also test every network; nothing is ranked by that accuracy"
    )
    args = parser.parse_args()
    if args.out is None:
        stem = args.proxy.with_suffix("") if args.proxy else Path("whole" if args.whole else EARLY_STOPPING)
        args.out = stem.with_name(f"{stem.name}.search.parquet")
    return args


def recipe_of(args: argparse.Namespace, job: Job, search: Search) -> Recipe:
    """Return the recipe of the networks.

    Args:
        args: the command line: ``whole``, ``proxy``, or neither for early stopping.
        job: the job of the search, see `Job.without_test_images`.
        search: the protocol's search, which sets the size of the proxies.
    """
    if args.whole:
        return job.recipe("search_whole")
    recipe = job.recipe("search", search.ipc)
    if args.proxy:
        return recipe
    return candidates.EarlyStopping(**vars(recipe), proxy_images=search.ipc * len(job.data.info.classes))


def proxy(args: argparse.Namespace, job: Job, search: Search) -> tuple[Samples, dict[str, Any]]:
    """Return the training images, and the columns of rows that describe the proxy.

    Args:
        args: the command line: ``proxy`` is the synthetic set; None for the whole training set.
        job: the job of the search, see `Job.without_test_images`.
        search: the protocol's search; the log warns if the set was condensed with other training images.

    Raises:
        CondenseryError: the set cannot be read, or is of another data set.
    """
    about: dict[str, Any] = {"ipc": 0, "condense_network": "", "set_seed": 0} | set_columns([])
    if args.proxy is None:
        about["proxy"] = "whole" if args.whole else EARLY_STOPPING
        return Samples.of_split(job.data.train, job.device), about
    synthetic = job.load_set(args.proxy)
    experiment = synthetic.provenance.get("experiment", {})
    if experiment.get("split") != search.split:
        logging.warning(
            "%s: may contain validation images: it was not made with scripts/condense.py --for-search",
            args.proxy,
        )
    about |= {
        "proxy": experiment.get("method", "imported"),
        "condense_network": experiment.get("network", ""),
    }
    about |= {"ipc": len(synthetic) // len(synthetic.classes), "set_seed": experiment.get("seed", 0)}
    return Samples.of_set(synthetic, job.device), about | set_columns([synthetic])


def show(rows: pd.DataFrame) -> None:
    """Print the networks, the best first."""
    groups = rows.groupby("network")["validation_accuracy"]
    mean, deviation = groups.mean(), groups.std(ddof=0)
    print(f"rank  validation accuracy (n={groups.size().max()})  network")
    for rank, network in enumerate(ranking.ranked(mean), start=1):
        print(f"{rank:4d}  {mean[network]:6.2f} ± {deviation[network]:.2f}  {network}")


def main() -> None:
    """Train, validate, write the rows and print the ranking.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the protocol has no search, or the set
            is of another data set.
    """
    args = parse()
    real = opened(args)
    job = real.without_test_images()
    search = job.config.required_search()
    recipe = recipe_of(args, job, search)
    samples, about = proxy(args, job, search)
    names = space.part(space.draw(search.networks, search.widths, search.seed), args.part)
    seeds = candidates.seeds(search.repeats, whole=args.whole)
    tested = {"test": True} if args.test else {}
    checkpoint = job.checkpoint(
        args.out, job.provenance(recipe=recipe.stated(), networks=names, seeds=list(seeds), **about, **tested)
    )
    epochs = len(names) * len(seeds) * recipe.epochs_run
    with Progress(f"search {args.data} {about['proxy']} {args.part}", epochs, "epochs") as progress:
        outcomes = candidates.train_all(
            names,
            samples,
            job.data.test,
            recipe,
            seeds,
            job.device,
            others=[real.data.test] if args.test else [],
            run=Run(checkpoint, progress),
        )
    common = job.columns() | about | {"recipe": recipe.name, "epochs": recipe.epochs}
    common |= {"images": len(samples), "steps": candidates.steps(samples, recipe)}
    measured = ["validation_accuracy", *(["test_accuracy"] if args.test else [])]
    rows = rows_of(names, outcomes, measured, common)
    write_rows(rows, args.out, SEARCH)
    checkpoint.remove()
    job.log_use()
    if args.part == "1-of-1":
        show(pd.DataFrame(rows))
    print(description.numbers(args.out, args.config / "published"))
