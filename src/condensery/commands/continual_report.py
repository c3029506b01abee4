r"""Make the table and the figure of a target of continual learning from its rows.

Writes TABLE.csv (one line per memory and step), .md, .tex, .json, FIGURE.png and FIGURE.pdf.

Example:
  python scripts/continual_report.py --target continual5 --protocol smoke --rows results/smoke/continual \
      --out-table continual5 --out-figure continual5
"""

from __future__ import annotations

from pathlib import Path

from condensery import console, rows
from condensery.experiment import load_config
from condensery.experiment.catalog import of_kind
from condensery.experiment.memories import memories
from condensery.experiment.target_kinds import Memories
from condensery.reporting import continual_cells, continual_figure, continual_table, published
from condensery.reporting.labels import Labels
from condensery.rows import MEMORY


def main() -> None:
    """Aggregate the rows of a target, and write its table and its figure.

    Raises:
        CondenseryError: an argument or the configuration is invalid, or rows are missing or do not agree.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "--target", required=True, choices=list(of_kind(Memories)), metavar="NAME", help="%(choices)s"
    )
    console.add_config_arguments(parser)
    console.add_rows_argument(parser, "of continual learning; rows of other targets are left out")
    parser.add_argument("--out-table", required=True, type=Path, metavar="PREFIX", help="what to write")
    parser.add_argument("--out-figure", required=True, type=Path, metavar="PREFIX", help="what to write")
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.protocol)
    names = Labels.of(config)
    wanted = [
        {
            "dataset": memory.tasks,
            "steps": memory.steps,
            "method": memory.method,
            "condense_network": memory.network,
            "ipc": memory.ipc,
            "order_seed": memory.order,
        }
        for memory in memories(config, arguments.target)
    ]
    measured = rows.read_rows(rows.row_files(arguments.rows), arguments.protocol, MEMORY)
    measured = rows.select(measured, wanted)
    cells = continual_cells.cells(measured, published.continual(arguments.config / "published"), names)
    continual_table.build(arguments.target, cells, names).write(arguments.out_table)
    continual_figure.draw(arguments.target, cells, names).write(arguments.out_figure)
