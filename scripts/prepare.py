"""Prepare a data set of config/datasets.yaml: from its source into memory-mapped arrays.

Examples:
    python scripts/prepare.py --data digits
    python scripts/prepare.py --data cifar10 --verify
"""

from __future__ import annotations

import argparse
from pathlib import Path

from condensery import console, data
from condensery.errors import CondenseryError
from condensery.experiment import load_config


def main() -> None:
    """Parse the command line and prepare, or verify, one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="A run that was stopped is continued by running it again. A complete folder is left alone.",
    )
    parser.add_argument("--data", required=True, help="name of the data set in config/datasets.yaml")
    parser.add_argument("--config", type=Path, default=Path("config"), help="configuration folder (config)")
    parser.add_argument("--raw", type=Path, help="where local copies lie and downloads go (data/raw)")
    parser.add_argument("--out", type=Path, help="folder to make (data/prepared/<data set>)")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="make nothing; check every byte of the prepared folder against its checksums",
    )
    given = parser.parse_args()
    config = load_config(given.config)
    if given.data not in config.datasets:
        known = ", ".join(config.datasets)
        raise CondenseryError(
            f"{given.config / 'datasets.yaml'}: no data set {given.data!r}; there are {known}"
        )
    out = given.out or Path(config.data_dir) / "prepared" / given.data
    if given.verify:
        data.verify(out)
    else:
        raw = given.raw or Path(config.data_dir) / "raw"
        data.prepare(given.data, config.datasets[given.data], raw, out)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
