r"""Make a figure of synthetic sets: PREFIX.png and PREFIX.pdf. Equal sets give equal files.

Example:
  python scripts/figure.py --figure figure2 --protocol laptop \
      --sets results/laptop/synthetic/cifar10/dm/convnet/ipc10/seed0.safetensors \
      --out-prefix results/laptop/figures/figure2
"""

from __future__ import annotations

from pathlib import Path

from condensery import console, rows
from condensery.experiment import load_config
from condensery.experiment.catalog import of_kind
from condensery.experiment.target_kinds import Images
from condensery.reporting import images_figure
from condensery.reporting.labels import Labels
from condensery.synthetic import SyntheticSet


def main() -> None:
    """Load the sets, and draw the figure.

    Raises:
        CondenseryError: the configuration is invalid, the figure is unknown, or a set or a row file cannot be
            read or is of another protocol.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "--figure", required=True, metavar="NAME", help=f"one of: {', '.join(of_kind(Images))}"
    )
    console.add_config_arguments(parser)
    parser.add_argument(
        "--sets",
        nargs="+",
        required=True,
        type=Path,
        metavar="SET",
        help="synthetic sets (.safetensors), in the order of the panels",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="rows (.parquet) of networks trained on these sets, for the caption",
    )
    parser.add_argument(
        "--out", "--out-prefix", required=True, type=Path, metavar="PREFIX", help="what to write"
    )
    arguments = parser.parse_args()
    sets = [SyntheticSet.load(path) for path in arguments.sets]
    measured = rows.read_rows(arguments.rows, arguments.protocol) if arguments.rows else None
    names = Labels.of(load_config(arguments.config, arguments.protocol))
    images_figure.build(arguments.figure, sets, names, measured).write(arguments.out)
