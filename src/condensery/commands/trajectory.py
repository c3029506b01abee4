r"""Make a figure of accuracy against the time or steps of condensing: PREFIX.png, .pdf, .csv and .md.

Example:
  python scripts/trajectory.py --protocol laptop \
      --rows results/laptop/trajectory_accuracy --out-prefix results/laptop/figures/figure4
"""

from __future__ import annotations

from pathlib import Path

from condensery import console, rows
from condensery.experiment import Config, load_config
from condensery.experiment.catalog import of_kind
from condensery.experiment.comparable import PAPER
from condensery.experiment.target_kinds import Trajectories
from condensery.experiment.trajectories import RECIPE, trajectories
from condensery.reporting import published, trajectory_cells, trajectory_figure
from condensery.reporting.labels import Labels
from condensery.rows import SNAPSHOT


def main() -> None:
    """Aggregate the rows, and write the figure and its numbers.

    Raises:
        CondenseryError: the configuration is invalid, the protocol does not list the figure, or rows are
            missing or do not agree.
    """
    parser = console.parser(__doc__)
    console.add_figure_argument(parser, list(of_kind(Trajectories)))
    console.add_config_arguments(parser)
    console.add_rows_argument(parser, "of snapshots, every one that the protocol lists")
    parser.add_argument(
        "--out", "--out-prefix", required=True, type=Path, metavar="PREFIX", help="what to write"
    )
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.protocol)
    names, wanted = Labels.of(config), _wanted(config, arguments.figure)
    measured = rows.read_rows(rows.row_files(arguments.rows), arguments.protocol, SNAPSHOT)
    frame = trajectory_cells.points(rows.select(measured, wanted), names)
    known = arguments.config / "published"
    goals = trajectory_cells.goals(frame, config, load_config(arguments.config, PAPER), known)
    times = published.costs(known)
    trajectory_figure.write_numbers(arguments.figure, frame, goals, times, names, arguments.out)
    trajectory_figure.draw(arguments.figure, frame, goals, times, names).write(arguments.out)


def _wanted(config: Config, figure: str) -> list[dict[str, str | int]]:
    """Return the coordinates of every snapshot that the figure shows."""
    return [
        {
            "dataset": followed.dataset,
            "method": followed.method,
            "ipc": followed.ipc,
            "condense_network": followed.network,
            "set_seed": followed.seed,
            "recipe": RECIPE,
            "evaluate_network": followed.network,
            "step": step,
        }
        for followed, steps in trajectories(config, figure).items()
        for step in steps
    ]
