"""What the quickstart promises: condensed images teach a network more than random ones of the same number."""

from __future__ import annotations

import statistics

import pytest

from condensery import data, methods
from condensery.experiment import load_config
from condensery.jobs.opening import Job
from condensery.run import Run
from condensery.training.evaluation import evaluate
from condensery.training.samples import Samples
from tests.pages import ROOT

CONFIG = ROOT / "config"
NETWORK = "convnet-d2-w32"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Return a job of the quickstart on the digits."""
    folder = tmp_path_factory.mktemp("digits")
    entry = load_config(CONFIG, "quickstart").dataset("digits")
    data.prepare("digits", entry, folder / "raw", folder / "digits")
    return Job.open(
        "digits",
        config=CONFIG,
        protocol="quickstart",
        prepared=folder / "digits",
        network=NETWORK,
        device_name="cpu",
    )


def mean_accuracy(job: Job, method: str, ipc: int) -> float:
    """Return the mean accuracy of two networks on each of two sets."""
    found = []
    for seed in (0, 1):
        synthetic = methods.get(method).condense(job.problem(method, ipc, seed), run=Run())
        samples, recipe = Samples.of_set(synthetic, job.device), job.recipe("dsa", ipc, synthetic)
        outcomes = evaluate(NETWORK, samples, job.data.test, recipe, [2 * seed, 2 * seed + 1], job.device)
        found += [outcome.accuracy for outcome in outcomes]
    return statistics.mean(found)


# Half of what was measured, which is 20 points at 1 image per class and 3 at 10.
@pytest.mark.slow
@pytest.mark.parametrize(("ipc", "gain"), [(1, 10.0), (10, 1.5)])
def test_condensed_images_beat_random_ones(job: Job, ipc: int, gain: float) -> None:
    random = mean_accuracy(job, "random", ipc)
    assert mean_accuracy(job, "dm", ipc) > random + gain
    assert mean_accuracy(job, "dsa", ipc) > random + gain


def test_the_quickstart_shows_every_cell_of_its_table() -> None:
    config = load_config(CONFIG, "quickstart")
    assert config.target_evaluations("summary") == config.target_evaluations("table1")
    methods_shown = {(e.set.method, e.set.ipc) for e in config.target_evaluations("table1")}
    assert methods_shown == {(m, ipc) for m in ("random", "herding", "dsa", "dm") for ipc in (1, 10)}
