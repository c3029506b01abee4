r"""Make one self-contained HTML page of tables and figures.

Example:
  python scripts/report.py --protocol laptop --tables results/laptop/tables/table1.csv \
      --figures results/laptop/figures/figure2.png --out results/laptop/report.html
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.experiment import load_config
from condensery.reporting import page
from condensery.reporting.labels import Labels


def main() -> None:
    """Write the page.

    Raises:
        CondenseryError: the configuration is invalid, or a table or a figure is missing or of another
            protocol.
    """
    parser = console.parser(__doc__)
    console.add_config_arguments(parser)
    parser.add_argument(
        "--tables",
        nargs="*",
        type=Path,
        default=[],
        metavar="CSV",
        help="tables that scripts/table.py wrote; the file name is the name of the table",
    )
    parser.add_argument(
        "--figures",
        nargs="*",
        type=Path,
        default=[],
        metavar="PNG",
        help="figures that scripts/figure.py wrote",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the page (.html)")
    arguments = parser.parse_args()
    names = Labels.of(load_config(arguments.config, arguments.protocol))
    page.build(arguments.tables, arguments.figures, names, arguments.out)
