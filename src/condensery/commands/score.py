r"""Score sets: accuracy beside random images and the whole set, IOR, HLR, LRS, ARS, with intervals.

Trains networks by two recipes, with and without augmentation: on each set, on as many random real images, and
on the whole training set. The cache keeps every result, so that the same command resumes after a stop.
docs/score.md defines each figure.

Examples:
    python scripts/score.py mine.npz --data digits --protocol quickstart
    python scripts/score.py res_DM_CIFAR10_ConvNet_10ipc.pt --data cifar10 --name DM --out scores/dm
"""

from __future__ import annotations

import argparse
from pathlib import Path

from condensery import console, exchange
from condensery.files import check_output
from condensery.jobs.arguments import (
    add_networks_argument,
    add_opening_arguments,
    add_reading_arguments,
    reading_options,
)
from condensery.scoring import Comparison, open_job, report, score_set
from condensery.scoring.cells import Store
from condensery.scoring.examining import Wanted
from condensery.scoring.scores import NETWORKS, RECIPES, WHOLE_NETWORKS
from condensery.synthetic import SyntheticSet
from condensery.training.evaluation import SEEDS_PER_SET


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a set, in any format that is read"
    )
    parser.add_argument("--data", required=True, metavar="NAME", help="its data set, of config/datasets.yaml")
    add_reading_arguments(parser)
    parser.add_argument(
        "--name", metavar="NAME", help="of the method; default: the file's, or the file's name"
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=RECIPES,
        metavar="NAME",
        help=f"entries of config/recipes.yaml; default: {' '.join(RECIPES)}",
    )
    parser.add_argument("--network", metavar="NAME", help="evaluation network; default: the data set's own")
    add_networks_argument(parser, " on each set, by each recipe", NETWORKS)
    parser.add_argument(
        "--random-networks",
        type=console.whole_number("--random-networks", 1, SEEDS_PER_SET),
        metavar="N",
        help="networks on random images; default: those that are kept or released, if two or more are "
        "released; else as many as on a set",
    )
    parser.add_argument(
        "--whole-networks",
        type=console.whole_number("--whole-networks", 0, SEEDS_PER_SET),
        metavar="N",
        help="networks on the whole set; 0 leaves out HLR and LRS; default: those that are kept or released; "
        f"without any, the published accuracy; without that too, {WHOLE_NETWORKS}",
    )
    parser.add_argument(
        "--looks",
        type=console.whole_number("--looks", 1, 10**4),
        default=0,
        metavar="N",
        help="test N times during training too, and show the best look, marked as selected on test images",
    )
    parser.add_argument(
        "--robustness",
        action="store_true",
        help="test on corrupted images and under attack by PGD too",
    )
    add_opening_arguments(parser)
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("data/scores"),
        metavar="DIR",
        help="the folder that keeps what was measured; default: %(default)s",
    )
    parser.add_argument(
        "--released",
        type=Path,
        default=Path("leaderboard/baselines"),
        metavar="DIR",
        help="released rows of random images and whole sets; default: %(default)s",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write score.json, report.html, score.txt, rows.parquet here",
    )
    return parser.parse_args()


def main() -> None:
    """Read the sets, score each, print, and write the report.

    Raises:
        CondenseryError: an argument or the configuration is invalid, or a set cannot be read or is of another
            data set.
    """
    args = parse()
    if args.out:
        check_output(args.out / "score.json")
    job = open_job(
        args.data,
        config=args.config,
        protocol=args.protocol,
        prepared=args.prepared,
        network=args.network,
        device_name=args.device,
        precision=args.precision,
        threads=args.threads,
    )
    comparison = Comparison(
        tuple(args.recipes),
        args.networks,
        args.random_networks,
        args.whole_networks,
        Store(args.cache, args.released),
        Wanted(args.looks, args.robustness),
        args.config / "published",
    )
    sets = [exchange.read(path, job.data.info, **reading_options(args)) for path in args.files]
    names = named(sets, args.name)
    scores = [score_set(job, each, name, comparison) for each, name in zip(sets, names, strict=True)]
    if args.out:
        report.write(scores, args.out)
    print(report.settings(scores[0]), report.text(scores), sep="\n\n")


def named(sets: list[SyntheticSet], name: str | None) -> list[str]:
    """Return a name for each set: ``name``, or else the name of its method, or else that of its file.

    If several sets have the same name, the name of the file is appended.
    """
    files = [Path(each.source).name for each in sets]
    names = [
        name or each.provenance.get("experiment", {}).get("method") or file
        for each, file in zip(sets, files, strict=True)
    ]
    return [
        each if names.count(each) == 1 or each == file else f"{each} ({file})"
        for each, file in zip(names, files, strict=True)
    ]
