"""What the scripts that compute share: the arguments that choose an experiment, and what they open."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from condensery import console, data
from condensery.checkpoint import Checkpoint
from condensery.data import RealData
from condensery.data.contents import Shape
from condensery.data.views import held_out, of_classes, reshaped, training_only
from condensery.errors import CondenseryError
from condensery.experiment import Config, load_config
from condensery.machine import device
from condensery.machine.device import Device
from condensery.machine.versions import versions

_log = logging.getLogger(__name__)


def add_arguments(
    parser: argparse.ArgumentParser, *, several: bool = False, network: bool = True, default_out: str = ""
) -> None:
    """Add the arguments of every job to a parser.

    Args:
        parser: the parser.
        several: whether there are several data sets; lists are made of them and of their folders.
        network: whether a job is about one network, which can be named.
        default_out: what is written where --out is not given; it must be given if this is empty.
    """
    many = {"nargs": "+"} if several else {}
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="data set, an entry of config/datasets.yaml", **many
    )
    if network:
        parser.add_argument("--network", metavar="NAME", help="network; default: the data set's own")
    parser.add_argument("--protocol", metavar="NAME", help="file of config/protocols; default: config.yaml's")
    console.add_config_argument(parser)
    parser.add_argument(
        "--prepared", type=Path, metavar="DIR", help="prepared data; default: data/prepared/NAME", **many
    )
    parser.add_argument("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N; default: config.yaml's")
    parser.add_argument(
        "--precision", choices=device.PRECISIONS, help="default: config.yaml's, or the protocol's"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: all cores")
    default = f"; default: {default_out}" if default_out else ""
    parser.add_argument(
        "--out", type=Path, required=not default_out, metavar="FILE", help=f"the file to write{default}"
    )


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a job that sees its data set otherwise than it was prepared."""
    parser.add_argument(
        "--only", metavar="LIST", help="see only these classes, such as 0-4 or 1,7; default: all"
    )
    parser.add_argument(
        "--shape", metavar="CxHxW", help="see the images in this shape, such as 3x32x32; default: their own"
    )


def view(args: argparse.Namespace) -> dict[str, str]:
    """Return what was given of the arguments of `add_view_arguments`, for the provenance."""
    return {name: value for name in ("only", "shape") if (value := getattr(args, name)) is not None}


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Read a list of numbers such as ``0-4`` or ``1,7-9``.

    Raises:
        CondenseryError: it is not one; the line names the option.
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise CondenseryError(f"{option} {text!r} is not a list of numbers: write 0-4 or 1,7")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


@dataclass(frozen=True)
class Job:
    """An opened job: configuration, real data, network name and device.

    ``split`` says what of the real data it is restricted to, if anything.
    """

    config: Config
    data: RealData
    network: str
    device: Device
    out: Path
    split: dict[str, Any] | None = None

    @classmethod
    def open(cls, args: argparse.Namespace, on: Device | None = None) -> Self:
        """Read and check what the arguments name, and say in the log on which device.

        Args:
            args: the arguments of `add_arguments`.
            on: the device, if it has been chosen already.

        Raises:
            CondenseryError: the configuration, the data set or the device is not as it must be.
        """
        if args.threads:
            torch.set_num_threads(args.threads)
        settings = {
            key: value for key in ("device", "precision") if (value := getattr(args, key)) is not None
        }
        config = load_config(args.config, args.protocol, settings)
        config.dataset(args.data)
        real = data.load(args.prepared or config.data_dir / "prepared" / args.data)
        where = on or device.choose(
            config.settings["device"], config.precision, where_native=not config.settings["precision"]
        )
        if on is None:
            _log.info("device: %s, %s", where.label, where.precision)
        network = getattr(args, "network", None) or config.network(args.data)
        return cls(config, real, network, where, args.out)

    def without_test_images(self) -> Self:
        """Return the job on the images of the architecture search: validation images are its test split.

        Raises:
            CondenseryError: the protocol has no search.
        """
        search = self.config.search
        if search is None:
            raise CondenseryError(
                f"protocol {self.config.protocol} has no architecture search: choose another, or add the key "
                "`search` to its file in config/protocols"
            )
        return self.held_out(search.split)

    def held_out(self, split: dict[str, Any]) -> Self:
        """Return the job on training images alone, some of which are its test split.

        Args:
            split: ``validation``, ``seed`` and ``training_images`` of `condensery.data.views.held_out`.

        Raises:
            CondenseryError: no images would be left to train on, or none to validate with.
        """
        data = held_out(self.data, split["validation"], split["seed"], split["training_images"])
        return replace(self, data=data, split=split)

    @classmethod
    def open_all(cls, args: argparse.Namespace) -> list[Self]:
        """Open a job for each of several data sets; arguments as for :meth:`open`.

        Raises:
            CondenseryError: as for :meth:`open`, or there are not as many prepared folders as data sets.
        """
        folders = args.prepared or [None] * len(args.data)
        if len(folders) != len(args.data):
            raise CondenseryError(f"--prepared: {len(folders)} folders for {len(args.data)} data sets")
        jobs: list[Self] = []
        for name, folder in zip(args.data, folders, strict=True):
            each = argparse.Namespace(**vars(args) | {"data": name, "prepared": folder})
            jobs.append(cls.open(each, on=jobs[0].device if jobs else None))
        return jobs

    def training_data(self, args: argparse.Namespace) -> RealData:
        """Return the data set without its test images, as the arguments of `add_view_arguments` see it.

        Raises:
            CondenseryError: there are no such classes, or no such shape can be made.
        """
        real = training_only(self.data)
        if args.only:
            real = of_classes(real, numbers("--only", args.only))
        if args.shape:
            sides = args.shape.split("x")
            if len(sides) != 3 or not all(side.isdigit() for side in sides):
                raise CondenseryError(f"--shape {args.shape!r} is not CxHxW: write it like 3x32x32")
            real = reshaped(real, Shape(*map(int, sides)))
        return real

    def columns(self) -> dict[str, Any]:
        """Return the columns of a result row that say under what protocol, where and with what it is made."""
        return {
            "protocol": self.config.protocol,
            "dataset": self.data.info.name,
            "device": self.device.label,
            "precision": self.device.precision,
            **versions(),
        }

    def provenance(self, **experiment: Any) -> dict[str, Any]:
        """Return what a result carries about its making: the experiment, the versions and the precision.

        The machine is left out: parts that different machines made join into one set.
        """
        restricted = {"split": self.split} if self.split else {}
        return {
            "experiment": {"protocol": self.config.protocol, "dataset": self.data.info.name}
            | restricted
            | experiment,
            "versions": versions(),
            "precision": self.device.precision,
        }

    def checkpoint(self, provenance: dict[str, Any], part: str = "") -> Checkpoint:
        """Return the checkpoint beside the output, or one of several, each of a part of the work.

        One of another experiment or other code is not resumed.
        """
        identity = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()
        name = f"{self.out.stem}.{part}" if part else self.out.stem
        return Checkpoint(self.out.with_name(f".{name}.checkpoint"), identity)
