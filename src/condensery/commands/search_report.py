r"""Make the table and the figure of an architecture search: do proxies rank networks as the whole set does?

Writes TABLE.csv, .md, .tex, .json (DM Table 5) and FIGURE.png, FIGURE.pdf (DM Figure F8).

Example:
  python scripts/search_report.py --protocol smoke --rows dm.search.parquet whole.search.parquet \
      --tests chosen.parquet --out-table table5 --out-figure figure_nas
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.experiment import load_config
from condensery.experiment.catalog import of_kind
from condensery.experiment.target_kinds import SearchFigure, SearchTable
from condensery.reporting import search_cells, search_figure, search_table
from condensery.reporting.labels import Labels
from condensery.rows import SEARCH, read_rows, row_files


def main() -> None:
    """Summarize the rows, and write the table and the figure.

    Raises:
        CondenseryError: the configuration is invalid, or rows or tests are missing or do not agree.
    """
    parser = console.parser(__doc__)
    console.add_config_arguments(parser)
    console.add_rows_argument(parser, "of scripts/search.py")
    parser.add_argument(
        "--tests", type=Path, required=True, metavar="FILE", help="the file that scripts/search_test.py wrote"
    )
    for what in ("table", "figure"):
        parser.add_argument(
            f"--out-{what}", required=True, type=Path, metavar=what.upper(), help="path, without suffix"
        )
    arguments = parser.parse_args()
    names = Labels.of(load_config(arguments.config, arguments.protocol))
    rows = read_rows(row_files(arguments.rows), arguments.protocol, SEARCH)
    tests = read_rows([arguments.tests], arguments.protocol, SEARCH)
    cells = search_cells.summary(rows, tests, arguments.config / "published")
    # A protocol has one search, and so one table and one figure of it.
    (name_of_table,), (name_of_figure,) = of_kind(SearchTable), of_kind(SearchFigure)
    table = search_table.build(name_of_table, cells, names)
    drawing = search_figure.build(name_of_figure, rows, names)
    table.write(arguments.out_table)
    drawing.write(arguments.out_figure)
