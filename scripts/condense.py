"""Make one synthetic set: condense a data set, or select from it, with one method and one seed.

Example:
    python scripts/condense.py --data digits --method dm --ipc 10 --seed 0 --protocol smoke \\
        --out dm.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from condensery import console, methods
from condensery.errors import CondenseryError
from condensery.job import Job, add_arguments
from condensery.methods import Problem
from condensery.progress import Progress


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--method", required=True, metavar="NAME", help="an entry of config/methods.yaml")
    parser.add_argument("--ipc", type=int, required=True, metavar="N", help="images per class")
    parser.add_argument("--seed", type=int, required=True, metavar="N", help="seed of the set")
    parser.add_argument(
        "--classes", metavar="LIST", help="a shard of the classes, such as 0-4 or 1,7; default: all"
    )
    parser.add_argument(
        "--features", type=Path, metavar="FILE", help="what scripts/pretrain.py made (coresets)"
    )
    return parser.parse_args()


def shard(text: str) -> tuple[int, ...]:
    """Read a list of classes such as ``0-4`` or ``1,7-9``.

    Raises:
        CondenseryError: it is not one.
    """
    classes: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise CondenseryError(f"--classes {text!r} is not a list of classes: write 0-4 or 1,7")
        classes += range(int(first), int(last or first) + 1)
    return tuple(classes)


def main() -> None:
    """Condense and write the set."""
    args = parse()
    job = Job.open(args)
    method = methods.get(job.config.implementation(args.method))
    parameters = job.config.parameters(args.data, args.method, job.network, args.ipc)
    augmentation = job.config.augmentation(args.data)
    whole = tuple(range(len(job.data.info.classes)))
    problem = Problem(
        data=job.data,
        ipc=args.ipc,
        classes=shard(args.classes) if args.classes else whole,
        network=job.network,
        parameters=parameters,
        augmentation=augmentation,
        seed=args.seed,
        device=job.device,
        features=args.features,
    )
    provenance = job.provenance(
        method=args.method,
        network=job.network,
        ipc=args.ipc,
        seed=args.seed,
        parameters=parameters,
        augmentation=augmentation,
    )
    if problem.classes != whole:
        if not method.independent_classes:
            raise CondenseryError(f"--classes: {args.method} condenses all classes together: leave it out")
        provenance["shard"] = list(problem.classes)
    checkpoint = job.checkpoint(provenance)
    label = f"{args.method} {args.data} ipc {args.ipc} seed {args.seed}"
    with Progress(label, parameters.get("iterations", 1)) as progress:
        synthetic = method.condense(problem, checkpoint=checkpoint, progress=progress)
    synthetic.provenance = provenance
    synthetic.save(args.out)
    checkpoint.remove()


if __name__ == "__main__":
    raise SystemExit(console.run(main))
