"""The table of the quickstart; `tests/quickstart.py` checks the numbers in it after `make quickstart`."""

from __future__ import annotations

from condensery.experiment import load_config
from tests.pages import ROOT


def test_the_quickstart_shows_every_cell_of_its_table() -> None:
    config = load_config(ROOT / "config", "quickstart")
    assert config.target_evaluations("summary") == config.target_evaluations("table1")
    methods_shown = {(e.set.method, e.set.ipc) for e in config.target_evaluations("table1")}
    assert methods_shown == {(m, ipc) for m in ("random", "herding", "dsa", "dm") for ipc in (1, 10)}
