"""Jobs: opened from values, and their problems and recipes from a configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from condensery import data, load_config
from condensery.errors import CondenseryError
from condensery.jobs import Job
from condensery.jobs.arguments import numbers
from condensery.rows import IDENTITY, SCHEMA, USE
from condensery.training.evaluation import network_seeds

CONFIG = Path(__file__).resolve().parents[1] / "config"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Return a job on the digits."""
    folder = tmp_path_factory.mktemp("prepared")
    data.prepare("digits", load_config(CONFIG).datasets["digits"], folder, folder / "digits")
    values = {"config": CONFIG, "protocol": "smoke", "prepared": folder / "digits", "device_name": "cpu"}
    return Job.open("digits", **values, precision="fp32")


def test_a_job_is_opened_from_values(job: Job) -> None:
    assert (job.config.protocol, job.data.info.name, job.device.precision) == ("smoke", "digits", "fp32")
    assert job.network == job.config.network("digits")
    with pytest.raises(CondenseryError, match="nothing"):
        Job.open("nothing", config=CONFIG)


def test_a_problem_is_resolved_for_its_network_and_sees_no_test_image(job: Job) -> None:
    other = replace(job, network="convnet-d2-w16")
    problem = other.problem("dm", 3, seed=5, batch_real=7)
    expected = job.config.parameters("digits", "dm", "convnet-d2-w16", 3) | {"batch_real": 7}
    assert (problem.parameters, problem.network, problem.seed) == (expected, "convnet-d2-w16", 5)
    assert problem.classes == tuple(range(10))
    assert problem.augmentation == job.config.augmentation("digits")
    assert len(problem.data.test) == 0
    assert job.problem("dm", 3, seed=5, classes=(1, 4)).classes == (1, 4)


def test_a_method_that_reads_what_its_entry_lacks_gets_the_name_of_both(job: Job) -> None:
    parameters = job.problem("dm", 3, seed=5).parameters
    with pytest.raises(CondenseryError, match=r"methods\.yaml: dm\.parameters: lacks 'width'"):
        parameters["width"]
    assert parameters.get("width", 3) == 3


def test_a_recipe_that_takes_all_from_the_set_wants_one(job: Job) -> None:
    assert job.recipe("dsa", 1).augmentation == job.config.augmentation("digits")
    with pytest.raises(CondenseryError, match="recipe learned needs the learning rates of a synthetic set"):
        job.recipe("learned", 1)


def test_the_columns_of_a_row_are_those_of_the_schema(job: Job) -> None:
    columns = job.training_columns({"method": "dm", "ipc": 1, "network": "mlp"}, job.recipe("dsa", 1))
    others = {"set_seed", "network_seed", "images", "accuracy", "train_seconds", "test_seconds"}
    host = USE.names[0]  # a CPU uses the memory of the host
    assert columns.keys() | others == {*SCHEMA.names, *IDENTITY, host}
    assert columns[host] > 50
    assert (columns["condense_network"], columns["evaluate_network"]) == ("mlp", job.network)


def test_networks_of_different_sets_have_different_seeds() -> None:
    assert network_seeds(2, 3) == range(2000, 2003)
    assert not set(network_seeds(0, 1000)) & set(network_seeds(1, 1000))
    for networks in (0, 1001):
        with pytest.raises(CondenseryError, match=f"--networks {networks} is out of range: give 1 to 1000"):
            network_seeds(0, networks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5-4", "runs backwards: write 4-5"),
        ("0,0", "0 comes twice"),
        ("0-3,2", "2 comes twice"),
        ("a", "not a list"),
    ],
)
def test_a_list_of_numbers_that_says_two_things_is_refused(text: str, words: str) -> None:
    with pytest.raises(CondenseryError, match=f"--classes '{text}'.*{words}"):
        numbers("--classes", text)


def test_a_list_of_numbers_keeps_its_order() -> None:
    assert numbers("--classes", "7,0-2") == (7, 0, 1, 2)
