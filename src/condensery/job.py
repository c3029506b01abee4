"""What the scripts that compute share: the arguments that choose an experiment, and what they open."""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from condensery import data, device
from condensery.checkpoint import Checkpoint
from condensery.data import RealData
from condensery.device import Device
from condensery.experiment import Config, load_config
from condensery.versions import versions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of every job to a parser."""
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="data set, an entry of config/datasets.yaml"
    )
    parser.add_argument("--network", metavar="NAME", help="network; the data set's own if not given")
    parser.add_argument(
        "--protocol", metavar="NAME", help="file of config/protocols; config.yaml's if not given"
    )
    parser.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    parser.add_argument(
        "--prepared", type=Path, metavar="DIR", help="prepared data; default: data/prepared/NAME"
    )
    parser.add_argument(
        "--device", metavar="NAME", help="auto, cpu, cuda or cuda:N; config.yaml's if not given"
    )
    parser.add_argument("--precision", choices=device.PRECISIONS, help="config.yaml's if not given")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads; all cores if not given")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")


@dataclass(frozen=True)
class Job:
    """An opened job: configuration, real data, network name and device."""

    config: Config
    data: RealData
    network: str
    device: Device
    out: Path

    @classmethod
    def open(cls, args: argparse.Namespace) -> Self:
        """Read and check what the arguments name.

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
        where = device.choose(config.settings["device"], config.precision)
        return cls(config, real, args.network or config.network(args.data), where, args.out)

    def provenance(self, **experiment: Any) -> dict[str, Any]:
        """Return what a result carries about its making: the experiment, the versions and the precision.

        The machine is left out: parts that different machines made join into one set.
        """
        return {
            "experiment": {"protocol": self.config.protocol, "dataset": self.data.info.name} | experiment,
            "versions": versions(),
            "precision": self.device.precision,
        }

    def checkpoint(self, provenance: dict[str, Any]) -> Checkpoint:
        """Return the checkpoint beside the output; one of another experiment or other code is not resumed."""
        identity = hashlib.sha256(json.dumps(provenance, sort_keys=True).encode()).hexdigest()
        return Checkpoint(self.out.with_name(f".{self.out.stem}.checkpoint"), identity)
