"""Which rows belong to a target."""

from __future__ import annotations

import pandas as pd

from condensery.experiment import Config
from condensery.experiment.targets import WHOLE
from condensery.rows import select


def of_target(measured: pd.DataFrame, config: Config, target: str) -> pd.DataFrame:
    """Return the rows of all networks that a protocol trains for a target.

    Args:
        measured: rows as `rows.read_rows` returns them.
        config: the configuration.
        target: name of a table or figure of accuracies.

    Raises:
        CondenseryError: the protocol does not list the target, or rows are missing.
    """
    on_sets = [
        {
            "dataset": e.set.dataset,
            "method": e.set.method,
            "ipc": e.set.ipc,
            "condense_network": e.set.network,
            "set_seed": e.set.seed,
            "recipe": e.recipe,
            "evaluate_network": e.network,
        }
        for e in config.target_evaluations(target)
    ]
    on_whole_set = [
        {"dataset": w.dataset, "method": WHOLE, "ipc": 0, "condense_network": "", "set_seed": w.seed}
        | {"recipe": w.recipe, "evaluate_network": w.network}
        for w in config.whole_evaluations(target)
    ]
    return select(measured, on_sets + on_whole_set)
