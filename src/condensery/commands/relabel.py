"""Give a synthetic set the soft labels of a teacher: a network that was trained on the whole training set.

The teacher is a file of scripts/pretrain.py; without one it is trained here, by the recipe `teacher`.

Example:
  python scripts/pretrain.py --data cifar10 --seed 0 --recipe teacher --out teacher.safetensors
  python scripts/relabel.py dm.safetensors --data cifar10 --teacher teacher.safetensors --out soft.safetensors
  python scripts/relabel.py dm.safetensors --data cifar10 --epochs 20 --out soft.safetensors
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from condensery import console
from condensery.data.views import training_only
from condensery.errors import CondenseryError
from condensery.files import provenance_of
from condensery.identity import check_data, set_columns
from condensery.jobs.arguments import add_arguments, add_seed_argument, opened
from condensery.jobs.opening import Job
from condensery.networks import Network
from condensery.progress import Progress
from condensery.run import Checkpoint, Run
from condensery.training.pretrained import network_of, pretrain, trained_network
from condensery.training.relabeling import relabeled

RECIPE = "teacher"


def parse() -> argparse.Namespace:
    """Read the command line.

    Raises:
        CondenseryError: the temperature is not above 0, or options exclude each other.
    """
    parser = console.parser(__doc__)
    parser.add_argument("set", type=Path, metavar="SET", help="the synthetic set (.safetensors)")
    add_arguments(parser)
    teacher = parser.add_mutually_exclusive_group()
    teacher.add_argument(
        "--teacher", type=Path, metavar="FILE", help="the teacher, which scripts/pretrain.py wrote"
    )
    teacher.add_argument(
        "--epochs",
        type=console.whole_number("--epochs", 1, 10**6),
        metavar="N",
        help="without --teacher: epochs of its training; default: those of the recipe teacher",
    )
    add_seed_argument(parser, "the training without --teacher; default: 0", required=False)
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="what the teacher's logits are divided by; default: %(default)s",
    )
    args = parser.parse_args()
    if not (math.isfinite(args.temperature) and args.temperature > 0):
        raise CondenseryError(f"--temperature {args.temperature:g}: give a number above 0")
    if args.teacher and args.seed is not None:
        raise CondenseryError(f"--seed {args.seed}: the teacher of --teacher is trained already: omit --seed")
    args.seed = args.seed or 0
    return args


def read_teacher(path: Path, job: Job) -> tuple[Network, dict[str, Any]]:
    """Read a trained teacher.

    Args:
        path: a file of scripts/pretrain.py.
        job: its data set and network are those that the teacher must have.

    Returns:
        The network, and the entries that describe it in the provenance of the relabeled set.

    Raises:
        CondenseryError: the file is not that of a trained network, or the network is of other data or of
            another architecture.
    """
    network = trained_network(path, job.data.info, job.network)
    provenance = provenance_of(path)
    check_data(str(path), provenance, job.data.content)
    stated = {key: provenance["experiment"][key] for key in ("network", "recipe", "seed")}
    return network, stated


def train_teacher(
    args: argparse.Namespace, job: Job, of_set: dict[str, str]
) -> tuple[Network, dict[str, Any], Checkpoint]:
    """Train the teacher on the whole training set, by the recipe `teacher`.

    Args:
        args: the command line, with the seed and the number of epochs.
        job: data set, network and device.
        of_set: the columns that identify the set to be relabeled; a checkpoint of another set is not resumed.

    Returns:
        The network; the entries that describe it in the provenance of the relabeled set; and the checkpoint
        of its training, which the caller removes once the set is written.
    """
    recipe = job.recipe(RECIPE)
    if args.epochs:
        recipe = replace(recipe, epochs=args.epochs)
    about = {"network": job.network, "recipe": recipe.stated(), "seed": args.seed}
    checkpoint = job.checkpoint(args.out, job.provenance(set=of_set, temperature=args.temperature, **about))
    with Progress(f"teacher {args.data} seed {args.seed}", recipe.epochs_run, "epochs") as progress:
        real = training_only(job.data)
        tensors = pretrain(real, job.network, recipe, args.seed, job.device, run=Run(checkpoint, progress))
    return network_of(tensors, job.data.info, job.network), about, checkpoint


def main() -> None:
    """Read or train the teacher, relabel the set, and write it.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the set or the teacher is of another
            data set, or the stored images hold several images each.
    """
    args = parse()
    job = opened(args)
    synthetic = job.load_set(args.set)
    checkpoint = None
    if args.teacher:
        teacher, about = read_teacher(args.teacher, job)
    else:
        teacher, about, checkpoint = train_teacher(args, job, set_columns([synthetic]))
    changed = relabeled(synthetic, teacher, about, job.device, args.temperature)
    changed.save(args.out)
    if checkpoint:
        checkpoint.remove()
    same = int((changed.class_indices == synthetic.class_indices).sum())
    print(f"{args.out}: the teacher's most probable class is the set's for {same} of {len(changed)} images")
