r"""Make a table from result rows: PREFIX.csv (one line per cell), .md, .tex and .json.

Every cell has mean and population standard deviation over all networks, the deviations between sets and
between networks, the numbers of sets and networks, the published value and the difference.

Examples:
  python scripts/table.py --table table1 --protocol laptop --rows results/laptop/accuracy --only-target \
      --out-prefix results/laptop/tables/table1
  python scripts/table.py --table table1 --protocol smoke --rows mine.parquet --out-prefix mine \
      --tex-columns random dsa dm --tex-best
"""

from __future__ import annotations

from pathlib import Path

from condensery import console, rows
from condensery.experiment import load_config
from condensery.experiment.catalog import find, of_kind
from condensery.experiment.target_kinds import Accuracies
from condensery.reporting import latex, tables
from condensery.reporting.labels import Labels
from condensery.reporting.selection import of_target


def main() -> None:
    """Aggregate the rows, and write the table in all formats.

    Raises:
        CondenseryError: the table or a column is unknown, the configuration is invalid, or rows are missing
            or do not agree.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "--table", required=True, metavar="NAME", help=f"one of: {', '.join(of_kind(Accuracies))}"
    )
    console.add_config_arguments(parser)
    console.add_rows_argument(parser, "of scripts/evaluate.py")
    parser.add_argument(
        "--only-target",
        action="store_true",
        help="only the cells that the protocol lists for this table, all of which must have rows",
    )
    parser.add_argument(
        "--tex-columns",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only these columns in the .tex file: methods, or networks where the columns are such",
    )
    parser.add_argument(
        "--tex-best",
        action="store_true",
        help="the highest measured accuracy of each line in bold, in the .tex file",
    )
    parser.add_argument(
        "--out", "--out-prefix", required=True, type=Path, metavar="PREFIX", help="what to write"
    )
    arguments = parser.parse_args()
    find(Accuracies, arguments.table)
    config = load_config(arguments.config, arguments.protocol)
    measured = rows.read_rows(rows.row_files(arguments.rows), arguments.protocol)
    if arguments.only_target:
        measured = of_target(measured, config, arguments.table)
    choice = latex.Choice(tuple(arguments.tex_columns), arguments.tex_best)
    folder, names = arguments.config / "published", Labels.of(config)
    table = tables.build(arguments.table, measured, folder, names, choice, config.image_sizes)
    table.write(arguments.out)
