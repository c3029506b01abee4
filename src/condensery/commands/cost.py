"""Write the cost of the jobs behind a table: PREFIX.csv (one line per job), PREFIX.md (one line per cell).

Reads the benchmarks and logs of the workflow. Jobs whose results were fetched have none: the time and the
device of evaluations come from the rows, and the cost of all other jobs is unknown.

Example:
  python scripts/cost.py --table table1 --protocol laptop --results results/laptop --out-prefix table1.cost
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.experiment import load_config
from condensery.experiment.jobs import jobs_of
from condensery.reporting import costs, published
from condensery.reporting.labels import Labels


def main() -> None:
    """Collect the records of the jobs, and write the two files.

    Raises:
        CondenseryError: the configuration is invalid, the protocol does not list the table, or a benchmark or
            a row file cannot be read.
    """
    parser = console.parser(__doc__)
    parser.add_argument("--table", required=True, metavar="NAME", help="a table of the protocol")
    console.add_config_arguments(parser)
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="the protocol's results")
    parser.add_argument(
        "--out", "--out-prefix", required=True, type=Path, metavar="PREFIX", help="what to write"
    )
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.protocol)
    jobs = jobs_of(config, arguments.table)
    title = f"Cost of {arguments.table} under protocol {arguments.protocol}"
    known = published.costs(arguments.config / "published")
    costs.write(costs.read(arguments.results, jobs), title, Labels.of(config), arguments.out, known)
