"""Test the networks that an architecture search chose: train them on the whole training set, then test them.

For each proxy in the rows of scripts/search.py, and for the whole set, this is the network with the best mean
validation accuracy. Each is trained again, with the seeds of the search, and tested once.
Writes one Parquet row per trained network.

Example:
    python scripts/search_test.py --data digits --protocol smoke --rows rows.parquet --out chosen.parquet
"""

from __future__ import annotations

from condensery import console
from condensery.jobs.arguments import add_arguments, opened
from condensery.progress import Progress
from condensery.reporting import description
from condensery.rows import SEARCH, read_rows, row_files, write_rows
from condensery.run import Run
from condensery.search import candidates, ranking
from condensery.search.candidates import rows_of
from condensery.training.samples import Samples


def main() -> None:
    """Choose the networks, train and test them, and write the rows.

    Raises:
        CondenseryError: an argument or the configuration is invalid, the protocol has no search, or rows of a
            network are missing.
    """
    parser = console.parser(__doc__)
    add_arguments(parser, network=False)
    console.add_rows_argument(parser, "of scripts/search.py")
    args = parser.parse_args()
    job = opened(args)
    searching = job.without_test_images()
    found = read_rows(row_files(args.rows), job.config.protocol, SEARCH)
    scores = ranking.scores(found[found["dataset"] == job.data.info.name])
    names = sorted({ranking.ranked(scores[proxy])[0] for proxy in scores})
    recipe = job.recipe("search_whole")
    samples = Samples.of_split(searching.data.train, job.device)
    seeds = candidates.seeds(job.config.required_search().repeats, whole=True)
    provenance = searching.provenance(recipe=recipe.stated(), networks=names, seeds=list(seeds), test=True)
    checkpoint = job.checkpoint(args.out, provenance)
    epochs = len(names) * len(seeds) * recipe.epochs_run
    with Progress(f"test {args.data}", epochs, "epochs") as progress:
        outcomes = candidates.train_all(
            names,
            samples,
            job.data.test,
            recipe,
            seeds,
            job.device,
            run=Run(checkpoint, progress),
        )
    common = job.columns() | {"proxy": "whole", "ipc": 0, "condense_network": "", "set_seed": 0}
    common |= {"recipe": recipe.name, "epochs": recipe.epochs}
    common |= {"images": len(samples), "steps": candidates.steps(samples, recipe)}
    write_rows(rows_of(names, outcomes, ["test_accuracy"], common), args.out, SEARCH)
    checkpoint.remove()
    job.log_use()
    print(description.numbers(args.out, args.config / "published"))
