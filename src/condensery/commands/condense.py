r"""Make one synthetic set: condense a data set, or select from it, with one method and one seed.

Example:
    python scripts/condense.py --data digits --method dm --ipc 10 --seed 0 --protocol smoke \
        --out dm.safetensors
    python scripts/condense.py --data digits --method dm --ipc 10 --seed 0 --protocol smoke \
        --snapshots 15,30,60 --out trajectory
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from condensery import console, methods
from condensery.errors import CondenseryError
from condensery.experiment import needs
from condensery.experiment.needs import NEEDS
from condensery.files import atomic, check_new_folder, provenance_of
from condensery.identity import check_data
from condensery.jobs import Job
from condensery.jobs.arguments import (
    add_arguments,
    add_seed_argument,
    add_validation_argument,
    add_view_arguments,
    numbers,
    opened,
    training_data,
    view,
    without_validation,
)
from condensery.methods import Problem
from condensery.progress import Progress
from condensery.run import Recorder, Run, Snapshot, last_iteration


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser)
    add_view_arguments(parser)
    parser.add_argument("--method", required=True, metavar="NAME", help="an entry of config/methods.yaml")
    parser.add_argument(
        "--ipc",
        type=console.whole_number("--ipc", 1, 10**6),
        required=True,
        metavar="N",
        help="images per class",
    )
    add_seed_argument(parser, "the set")
    parser.add_argument(
        "--classes",
        metavar="LIST",
        help="make a part, of these classes, such as 0-4 or 1,7; default: all",
    )
    parser.add_argument(
        "--with",
        nargs="+",
        default=[],
        dest="trained",
        metavar="NAME=FILE",
        help="a file that the method needs: features=FILE of scripts/pretrain.py, pool=FILE for each part of "
        "scripts/pool.py, pairs=FILE for each of scripts/pairs.py, experts=FILE for each of "
        "scripts/experts.py, generator=FILE of scripts/train_generator.py (default: train one for this set)",
    )
    parser.add_argument(
        "--snapshots",
        metavar="LIST",
        help="iterations, such as 10,100: write the set as it is after each and the seconds that it took, as "
        "step10.safetensors and step100.safetensors in the new folder --out, and end after the last",
    )
    leaving_out = parser.add_mutually_exclusive_group()
    add_validation_argument(leaving_out)
    leaving_out.add_argument(
        "--for-search",
        action="store_true",
        help="make a proxy for the protocol's architecture search, without its validation images",
    )
    return parser.parse_args()


def snapshots(args: argparse.Namespace, parameters: Mapping[str, Any]) -> Recorder | None:
    """Return the recorder of the snapshots that ``--snapshots`` requests, or None without this option.

    Args:
        args: the command line.
        parameters: the parameters of the method.

    Raises:
        CondenseryError: the method does not run that many iterations, or the folder exists already.
    """
    if args.snapshots is None:
        return None
    if "iterations" not in parameters:
        raise CondenseryError(f"--snapshots: {args.method} has no iterations: omit it")
    steps, last = numbers("--snapshots", args.snapshots), parameters["iterations"]
    for step in steps:
        if not 0 < step <= last:
            raise CondenseryError(
                f"--snapshots {step}: {args.method} runs {last} iterations: give 1 to {last}"
            )
    check_new_folder(args.out)
    return Recorder(steps)


def write(snapshots: Sequence[Snapshot], problem: Problem, provenance: dict[str, Any], out: Path) -> None:
    """Write a folder of snapshots, atomically: one set per snapshot, ``step<N>.safetensors``.

    Args:
        snapshots: the images after some iterations.
        problem: the condensation, which builds the sets.
        provenance: of the finished set; each snapshot adds its step, seconds and device under ``snapshot``.
        out: the new folder.

    Raises:
        CondenseryError: the folder exists and is not empty.
    """
    with atomic(out, folder=True) as temporary:
        for snapshot in snapshots:
            synthetic = problem.synthetic_set(snapshot.images, learning_rate=snapshot.learning_rate)
            taken = {"step": snapshot.step, "seconds": snapshot.seconds, "device": problem.device.label}
            synthetic.provenance = provenance | {"snapshot": taken}
            synthetic.save(temporary / f"step{snapshot.step}.safetensors")


def trained_before(problem: Problem, args: argparse.Namespace, job: Job) -> dict[str, Any]:
    """Check the files with what was trained before, and return their entries of the provenance.

    Raises:
        CondenseryError: a file is of other data, or may have seen validation images.
    """
    entries = {}
    for name, files in problem.trained.items():
        for file in files:
            origin = provenance_of(file)
            check_data(str(file), origin, job.data.content)
            if args.validation is not None and origin["experiment"].get("split") != job.split:
                raise CondenseryError(
                    f"{file}: may have seen validation images: make it with --validation {args.validation:g}"
                )
        if not NEEDS[name].optional:  # a set that trains its own is the same
            entries[name] = origin["experiment"]
    return entries


def main() -> None:
    """Condense and write the set.

    Raises:
        CondenseryError: an argument or the configuration is invalid; a file that the method needs is missing,
            is of other data, or may have seen validation images; or ``--classes`` is given although the
            result for a class depends on the other classes.
    """
    args = parse()
    job = opened(args)
    job = job.without_test_images() if args.for_search else without_validation(args, job)
    method = methods.get(job.config.implementation(args.method))
    real = training_data(args, job)
    whole = tuple(sorted(numbers("--only", args.only))) if args.only else tuple(range(len(real.info.classes)))
    problem = job.problem(
        args.method,
        args.ipc,
        args.seed,
        real=real,
        classes=numbers("--classes", args.classes) if args.classes else whole,
        trained=needs.parse(args.trained),
    )
    provenance = job.provenance(
        method=args.method,
        network=job.network,
        ipc=args.ipc,
        seed=args.seed,
        parameters=problem.parameters,
        augmentation=problem.augmentation,
        **view(args),
    )
    provenance |= trained_before(problem, args, job)
    if problem.classes != whole:
        if not job.config.independent(args.method, job.network):
            raise CondenseryError(
                f"--classes: {args.method} with {job.network} condenses all classes together: omit it"
            )
        provenance["shard"] = list(problem.classes)
    recorder = snapshots(args, problem.parameters)
    checkpoint = job.checkpoint(args.out, provenance | {"snapshots": bool(recorder)})
    label = f"{args.method} {args.data} ipc {args.ipc} seed {args.seed}"
    whole_run = problem.parameters.get("iterations", 1)
    last = last_iteration(whole_run, recorder)
    with Progress(label, last, "iterations") as progress:
        synthetic = method.condense(problem, run=Run(checkpoint, progress, recorder))
    if recorder:
        write(recorder.snapshots, problem, provenance, args.out)
    else:
        synthetic.provenance = provenance
        synthetic.save(args.out)
    if last == whole_run:  # otherwise a run with later snapshots goes on from it
        checkpoint.remove()
    job.log_use()
