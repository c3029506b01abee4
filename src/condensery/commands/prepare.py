"""Prepare a data set of config/datasets.yaml: from its source into memory-mapped arrays.

Run it again to continue an interrupted preparation. A complete folder is kept.

Examples:
    python scripts/prepare.py --data digits
    python scripts/prepare.py --data cifar10 --verify
"""

from __future__ import annotations

from pathlib import Path

from condensery import console, data
from condensery.errors import CondenseryError
from condensery.experiment import load_config


def main() -> None:
    """Prepare, or verify, one data set.

    Raises:
        CondenseryError: the configuration is invalid, the data set is unknown, none of its sources can be
            read, or the prepared folder is incomplete or damaged.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="data set, an entry of config/datasets.yaml"
    )
    console.add_config_argument(parser)
    parser.add_argument(
        "--raw", type=Path, metavar="DIR", help="folder of local copies and downloads; default: data/raw"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to make; default: data/prepared/NAME")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="make nothing; check every byte of the prepared folder against its checksums",
    )
    args = parser.parse_args()
    config = load_config(args.config)
    if args.data not in config.datasets:
        known = ", ".join(config.datasets)
        raise CondenseryError(
            f"{args.config / 'datasets.yaml'}: no data set {args.data!r}; there are {known}"
        )
    out = args.out or Path(config.data_dir) / "prepared" / args.data
    if args.verify:
        data.load(out)
    else:
        raw = args.raw or Path(config.data_dir) / "raw"
        data.prepare(args.data, config.datasets[args.data], raw, out)
