r"""Compare every published number with the measured one, of any protocol: PREFIX.csv, .md, .png and .pdf.

Prints the counts and the compared numbers in a small table, which README shows.

Example:
  python scripts/reproduction.py --results results --out results/reproduction
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.experiment.comparable import PAPER
from condensery.reporting import published, reproduction_cells, reproduction_figure, reproduction_table
from condensery.reporting.labels import Labels


def main() -> None:
    """Read the rows of every protocol, compare them with the published numbers, and write the files.

    Raises:
        CondenseryError: the configuration is invalid, there are no results, or a row file cannot be read.
    """
    parser = console.parser(__doc__)
    console.add_config_argument(parser)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="the results: a folder per protocol; default: %(default)s",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="PREFIX", help="what to write")
    arguments = parser.parse_args()
    names = sorted(path.stem for path in (arguments.config / "protocols").glob("*.yaml"))
    measured_under = [name for name in names if (arguments.results / name).is_dir()]
    if not measured_under:
        raise CondenseryError(
            f"{arguments.results}: holds no results; fetch them with `dvc pull`, or make a table"
        )
    configs = {name: load_config(arguments.config, name) for name in measured_under}
    paper = load_config(arguments.config, PAPER)
    known = arguments.config / "published"
    found = {
        name: reproduction_cells.measured(arguments.results / name, config, known)
        for name, config in configs.items()
    }
    frame = reproduction_cells.verdicts(published.numbers(known), found, configs, paper)
    labels = Labels.of(paper)
    reproduction_figure.draw(frame, labels).write(arguments.out)
    reproduction_table.write(frame, labels, arguments.out)
    print(reproduction_table.summary(frame, labels))
