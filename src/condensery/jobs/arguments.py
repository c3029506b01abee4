"""The arguments that all computing commands share, and the job that they describe."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from condensery import console, exchange
from condensery.data import RealData, storage
from condensery.data.contents import Shape
from condensery.data.views import of_classes, reshaped, training_only
from condensery.errors import CondenseryError
from condensery.files import check_output
from condensery.formation import MOST
from condensery.jobs.opening import Job
from condensery.machine import device
from condensery.machine.busy import Meter
from condensery.training.evaluation import SEEDS_PER_SET

MOST_THREADS = 1024
MOST_SEED = 10**9
MOST_NUMBERS = 10**6
"""The longest list of numbers that an option may stand for."""


def add_seed_argument(parser: argparse.ArgumentParser, what: str, *, required: bool = True) -> None:
    """Add the argument ``--seed``, a whole number from 0 on; None if it is omitted.

    Args:
        parser: the parser.
        what: the thing that the seed belongs to, for the help.
        required: whether the argument must be given.
    """
    parser.add_argument(
        "--seed",
        type=console.whole_number("--seed", 0, MOST_SEED),
        required=required,
        metavar="N",
        help=f"seed of {what}",
    )


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for properties that the file of a set does not state, see `exchange.read`."""
    parser.add_argument(
        "--format", choices=list(exchange.FORMATS), help="kind of FILE; default: by its name; a folder is png"
    )
    parser.add_argument(
        "--experiment",
        type=console.whole_number("--experiment", 0, 10**6),
        default=0,
        metavar="K",
        help="which set of a .pt that holds several; default: %(default)s",
    )
    parser.add_argument(
        "--space",
        choices=get_args(exchange.Space),
        help="what the pixels of FILE are (whitened ones: were): 0 to 255, 0 to 1, or normalized; default: "
        "what they must be",
    )
    parser.add_argument(
        "--mean",
        type=float,
        nargs="+",
        metavar="X",
        help="with --std: what the pixels of FILE are normalized with, if it is not the data set's",
    )
    parser.add_argument("--std", type=float, nargs="+", metavar="X", help="see --mean")
    parser.add_argument(
        "--labels",
        choices=get_args(exchange.LabelKind),
        help="what the labels of FILE are; centered: a probability per class less 1 / classes; default: what "
        "they must be",
    )
    parser.add_argument(
        "--formation",
        type=console.whole_number("--formation", 1, MOST),
        metavar="F",
        help="an image holds F x F small ones; default: what FILE says, or 1",
    )
    parser.add_argument(
        "--zca",
        type=Path,
        metavar="FILE",
        help="mean and matrix (.pt or .npz) that the images were whitened with, which is undone",
    )


def reading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `exchange.read`.

    Raises:
        CondenseryError: only one of mean and standard deviation is given.
    """
    if (arguments.mean is None) != (arguments.std is None):
        raise CondenseryError("--mean and --std belong together; give both or neither")
    names = ("format", "experiment", "space", "labels", "formation", "zca")
    normalization = None if arguments.mean is None else (arguments.mean, arguments.std)
    return {name: getattr(arguments, name) for name in names} | {"normalization": normalization}


def add_networks_argument(
    parser: argparse.ArgumentParser, each: str = "", default: int | None = None
) -> None:
    """Add the argument ``--networks``, the number of networks.

    Args:
        parser: the parser.
        each: what the number refers to, for the help, such as `` per step``.
        default: the default; None stands for the number of the protocol.
    """
    parser.add_argument(
        "--networks",
        type=console.whole_number("--networks", 1, SEEDS_PER_SET),
        default=default,
        metavar="N",
        help=f"networks{each}; default: {'the number of the protocol' if default is None else default}",
    )


def add_opening_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the arguments for the configuration, the protocol, the prepared data and the device of a job.

    Args:
        parser: the parser.
        several: whether the job takes several data sets; ``--prepared`` is then a list of their folders.
    """
    many: dict[str, Any] = {"nargs": "+"} if several else {}
    parser.add_argument("--protocol", metavar="NAME", help="file of config/protocols; default: config.yaml's")
    console.add_config_argument(parser)
    parser.add_argument(
        "--prepared", type=Path, metavar="DIR", help="prepared data; default: data/prepared/NAME", **many
    )
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N; default: config.yaml's")
    parser.add_argument(
        "--precision", choices=device.PRECISIONS, help="default: config.yaml's, or the protocol's"
    )
    parser.add_argument(
        "--threads",
        type=console.whole_number("--threads", 1, MOST_THREADS),
        metavar="N",
        help="CPU threads; default: all cores",
    )


def add_arguments(
    parser: argparse.ArgumentParser, *, several: bool = False, network: bool = True, default_out: str = ""
) -> None:
    """Add the arguments of every job to a parser; `opened` reads them.

    Args:
        parser: the parser.
        several: whether the job takes several data sets; ``--data`` and ``--prepared`` are then lists.
        network: whether the job has a single network, which ``--network`` can name.
        default_out: the default of ``--out`` in words; without it, ``--out`` is required.
    """
    many: dict[str, Any] = {"nargs": "+"} if several else {}
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="data set, an entry of config/datasets.yaml", **many
    )
    if network:
        parser.add_argument("--network", metavar="NAME", help="network; default: the data set's own")
    add_opening_arguments(parser, several=several)
    default = f"; default: {default_out}" if default_out else ""
    parser.add_argument(
        "--out", type=Path, required=not default_out, metavar="FILE", help=f"the file to write{default}"
    )


def add_part_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument ``--part`` of a job that trains one part of the networks."""
    parser.add_argument(
        "--part",
        default="1-of-1",
        metavar="K-of-N",
        help="train this part of the networks; default: %(default)s",
    )


def add_validation_argument(parser: argparse._ActionsContainer) -> None:
    """Add the argument ``--validation``, the share of training images reserved for scripts/best.py."""
    parser.add_argument(
        "--validation",
        type=float,
        metavar="SHARE",
        help="leave out this share of the training images, such as 0.1, for scripts/best.py",
    )


def without_validation(args: argparse.Namespace, job: Job) -> Job:
    """Return the job without the training images that ``--validation`` reserves, if it is given.

    Raises:
        CondenseryError: the share is not between 0 and 1, or no images would be left.
    """
    if args.validation is None:
        return job
    if not 0 < args.validation < 1:
        raise CondenseryError(f"--validation {args.validation:g}: give a share between 0 and 1, such as 0.1")
    return job.held_out({"validation": args.validation, "seed": 0, "training_images": None})


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a job that uses only some classes of its data set, or images of another shape."""
    parser.add_argument(
        "--only", metavar="LIST", help="see only these classes, such as 0-4 or 1,7; default: all"
    )
    parser.add_argument(
        "--shape", metavar="CxHxW", help="see the images in this shape, such as 3x32x32; default: their own"
    )


def view(args: argparse.Namespace) -> dict[str, str]:
    """Return the arguments of `add_view_arguments` that are given, for the provenance."""
    return {name: value for name in ("only", "shape") if (value := getattr(args, name)) is not None}


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Read a list of different numbers such as ``0-4`` or ``1,7-9``.

    Raises:
        CondenseryError: the text is not such a list; the message names the option.
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not re.fullmatch("[0-9]{1,9}(-[0-9]{1,9})?", part):
            raise CondenseryError(f"{option} {text!r} is not a list of numbers: write 0-4 or 1,7")
        if int(last or first) < int(first):
            raise CondenseryError(f"{option} {text!r}: {part} runs backwards: write {last}-{first}")
        if int(last or first) - int(first) >= MOST_NUMBERS:
            raise CondenseryError(
                f"{option} {text!r}: {part} has more than {MOST_NUMBERS} numbers: give fewer"
            )
        found += range(int(first), int(last or first) + 1)
    if len(set(found)) < len(found):
        again = min(number for number, count in Counter(found).items() if count > 1)
        raise CondenseryError(f"{option} {text!r}: {again} comes twice: write it once")
    return tuple(found)


def opened(args: argparse.Namespace) -> Job:
    """Open the job that the arguments of `add_arguments` describe.

    Raises:
        CondenseryError: the output lies in the prepared data, or the job cannot be opened, see `Job.open`.
    """
    return _open(args, args.data, args.prepared)


def all_opened(args: argparse.Namespace) -> list[Job]:
    """Open a job for each of several data sets, all on one device.

    Raises:
        CondenseryError: the numbers of prepared folders and data sets differ, or a job cannot be opened, see
            `opened`.
    """
    folders = args.prepared or [None] * len(args.data)
    if len(folders) != len(args.data):
        raise CondenseryError(f"--prepared: {len(folders)} folders for {len(args.data)} data sets")
    jobs: list[Job] = []
    for name, folder in zip(args.data, folders, strict=True):
        jobs.append(_open(args, name, folder, on=jobs[0].device if jobs else None))
    return jobs


def _open(args: argparse.Namespace, name: str, prepared: Path | None, on: device.Device | None = None) -> Job:
    check_output(args.out, folder=getattr(args, "snapshots", None) is not None)
    if args.out.name in (*storage.FILES, "info.json") and (args.out.parent / "info.json").exists():
        raise CondenseryError(f"--out {args.out}: is a part of a prepared data set: give another name")
    job = Job.open(
        name,
        config=args.config,
        protocol=args.protocol,
        prepared=prepared,
        network=getattr(args, "network", None),
        device_name=args.device,
        precision=args.precision,
        threads=args.threads,
        on=on,
    )
    on_gpu = job.device.torch_device.type == "cuda" and on is None
    return replace(job, meter=Meter(job.device.torch_device)) if on_gpu else job


def training_data(args: argparse.Namespace, job: Job) -> RealData:
    """Return the data set without its test images, changed as the arguments of `add_view_arguments` state.

    Raises:
        CondenseryError: a class is unknown, or the images cannot take the shape.
    """
    real = training_only(job.data)
    if args.only:
        real = of_classes(real, numbers("--only", args.only))
    if args.shape:
        match = re.fullmatch("([13])x([0-9]{1,2})x([0-9]{1,2})", args.shape)
        sides = [int(side) for side in match.groups()] if match else []
        if not match or not all(8 <= side <= 64 for side in sides[1:]):
            raise CondenseryError(
                f"--shape {args.shape!r} is not CxHxW with 1 or 3 channels and sides from 8 to 64: write "
                "it like 3x32x32"
            )
        real = reshaped(real, Shape(*sides))
    return real
