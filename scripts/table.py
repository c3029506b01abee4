"""Make a table from result rows: PREFIX.csv (one line a cell), PREFIX.md and PREFIX.tex.

Every cell has mean and population standard deviation over all networks, the deviations between sets and
between networks, the numbers of sets and networks, the published value and the difference.

Examples:
  python scripts/table.py --table table1 --protocol laptop --rows results/laptop/accuracy \\
      --out-prefix results/laptop/tables/table1
  python scripts/table.py --table table1 --protocol paper --rows-from rows.txt --out-prefix table1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from condensery import console
from condensery.errors import CondenseryError
from condensery.reporting import labels, rows, tables


def main() -> None:
    """Parse, read, aggregate, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", required=True, metavar="NAME", help=f"one of: {', '.join(tables.SPECS)}")
    parser.add_argument("--protocol", required=True, metavar="NAME", help="where every row must come from")
    parser.add_argument(
        "--rows",
        nargs="+",
        type=Path,
        default=[],
        metavar="PATH",
        help="row files (.parquet) that scripts/evaluate.py wrote, or folders of them",
    )
    parser.add_argument(
        "--rows-from", type=Path, metavar="FILE", help="a text file that names row files, one a line"
    )
    parser.add_argument(
        "--published",
        type=Path,
        default=Path("config/published"),
        metavar="DIR",
        help="the papers' numbers (default: %(default)s)",
    )
    labels.add_arguments(parser)
    parser.add_argument("--out-prefix", required=True, type=Path, metavar="PREFIX", help="what to write")
    arguments = parser.parse_args()
    tables.find(arguments.table)
    listed = _listed(arguments.rows_from) if arguments.rows_from else []
    names = labels.read(arguments)
    measured = rows.read_rows(rows.row_files([*arguments.rows, *listed]), arguments.protocol)
    tables.build(arguments.table, measured, arguments.published, names).write(arguments.out_prefix)


def _listed(path: Path) -> list[Path]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CondenseryError(f"{path}: not a text file; give a list of row files, one a line") from error
    return [Path(line.strip()) for line in text.splitlines() if line.strip()]


if __name__ == "__main__":
    raise SystemExit(console.run(main))
