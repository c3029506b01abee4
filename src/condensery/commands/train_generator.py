r"""Train the generator of a generative method, on the whole training set.

Example:
    python scripts/train_generator.py --data digits --method vae --seed 0 --protocol smoke \
        --out vae.safetensors
    python scripts/condense.py --data digits --method vae --ipc 10 --seed 0 --protocol smoke \
        --with generator=vae.safetensors --out set.safetensors
"""

from __future__ import annotations

import argparse

from condensery import console, generators
from condensery.data.views import training_only
from condensery.errors import CondenseryError
from condensery.files import write_tensors
from condensery.generators import Setting
from condensery.jobs.arguments import add_arguments, add_seed_argument, opened
from condensery.progress import Progress
from condensery.run import Run


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    add_arguments(parser, network=False)
    parser.add_argument("--method", required=True, metavar="NAME", help="an entry of config/methods.yaml")
    add_seed_argument(parser, "the generator")
    return parser.parse_args()


def main() -> None:
    """Train and write the generator.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the method has no generator, or the
            training fails.
    """
    args = parse()
    job = opened(args)
    kind = job.config.implementation(args.method)
    if kind not in generators.KINDS:
        raise CondenseryError(
            f"--method {args.method} does not use a generator: choose one of {', '.join(generators.KINDS)}"
        )
    real = training_only(job.data)
    parameters = job.config.generator_parameters(args.data, args.method)
    classes = tuple(range(len(real.info.classes)))
    setting = Setting(real, classes, parameters, args.seed, job.device)
    provenance = job.provenance(method=args.method, seed=args.seed, parameters=parameters)
    checkpoint = job.checkpoint(args.out, provenance)
    label = f"{args.method} {args.data} seed {args.seed}"
    with Progress(label, parameters["iterations"], "iterations") as progress:
        weights = generators.train(kind, setting, run=Run(checkpoint, progress))
    about = {"kind": kind, "dataset": real.info.name, "classes": list(classes), "seed": args.seed}
    write_tensors(args.out, weights, about | {"parameters": parameters, "provenance": provenance})
    checkpoint.remove()
    job.log_use()
