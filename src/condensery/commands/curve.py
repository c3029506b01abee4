r"""Make a figure of accuracy against images per class: PREFIX.png and PREFIX.pdf.

Example:
  python scripts/curve.py --figure summary --protocol quickstart \
      --rows results/quickstart/accuracy --only-target --out results/quickstart/figures/summary
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.experiment import load_config
from condensery.experiment.catalog import of_kind
from condensery.experiment.target_kinds import Curves
from condensery.reporting import curve_figure
from condensery.reporting.labels import Labels
from condensery.reporting.selection import of_target
from condensery.rows import read_rows, row_files


def main() -> None:
    """Read the rows, and draw the figure.

    Raises:
        CondenseryError: the configuration is invalid, the figure is unknown, or rows are missing or do not
            agree.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "--figure", required=True, metavar="NAME", help=f"one of: {', '.join(of_kind(Curves))}"
    )
    console.add_config_arguments(parser)
    console.add_rows_argument(parser, "of scripts/evaluate.py")
    parser.add_argument(
        "--only-target",
        action="store_true",
        help="take only the rows of the cells that the protocol lists for the figure",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="PREFIX", help="what to write")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.protocol)
    measured = read_rows(row_files(arguments.rows), arguments.protocol)
    if arguments.only_target:
        measured = of_target(measured, config, arguments.figure)
    known = arguments.config / "published"
    curve_figure.build(arguments.figure, measured, known, Labels.of(config)).write(arguments.out)
