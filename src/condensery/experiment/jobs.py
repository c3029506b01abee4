"""The jobs behind a table, and the paths of their records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from condensery.experiment import memories
from condensery.experiment.catalog import TARGETS
from condensery.experiment.config import Config
from condensery.experiment.needs import NEEDS, needed, needed_in_step
from condensery.experiment.plans import Search
from condensery.experiment.target_kinds import Memories, SearchTable
from condensery.experiment.targets import WHOLE, SetId


class JobId(NamedTuple):
    """A job, or the parts into which it was split.

    Attributes:
        rule: name of its rule in the workflow.
        dataset: name of the data set, or the joined names of a sequence.
        method: name of the method of the set; "" for a job without a set.
        ipc: images per class; 0 for a job without a set.
        network: the network that the job trains or condenses with; "" if there are several or none.
        path: the path of its records, relative to ``benchmarks/`` and ``logs/`` of the results, and of its
            rows, relative to the results.
    """

    rule: str
    dataset: str
    method: str
    ipc: int
    network: str
    path: str


def jobs_of(config: Config, table: str) -> list[JobId]:
    """Return the jobs behind a table, without repetition; preparation comes first.

    Raises:
        CondenseryError: the protocol does not list the table.
    """
    target = TARGETS.get(table)
    if isinstance(target, Memories):
        jobs = list(_of_memories(config, table))
    elif isinstance(target, SearchTable) and config.search:
        jobs = list(_of_search(config, config.search))
    else:
        jobs = list(_of_sets(config, table))
    datasets = dict.fromkeys(name for job in jobs for name in job.dataset.split(memories.JOIN))
    prepared = [JobId("prepare", name, "", 0, "", f"prepare/{name}") for name in datasets]
    return list(dict.fromkeys([*prepared, *jobs]))


def _of_sets(config: Config, table: str) -> Iterator[JobId]:
    for set_id in config.target_sets(table):
        yield from _of_set(config, set_id)
    for e in config.target_evaluations(table):
        path = f"accuracy/{_path(e.set)}/{e.recipe}-{e.network}"
        yield JobId("evaluate", e.set.dataset, e.set.method, e.set.ipc, e.network, path)
    for w in config.whole_evaluations(table):
        path = f"accuracy/{w.dataset}/whole/{w.recipe}-{w.network}/seed{w.seed}"
        yield JobId("evaluate_whole", w.dataset, WHOLE, 0, w.network, path)


def _of_set(config: Config, set_id: SetId) -> Iterator[JobId]:
    for name, paths in needed(config, set_id).items():
        need = NEEDS[name]
        method = set_id.method if "{method}" in need.path else ""
        network = set_id.network if "{network}" in need.path else ""
        for path in paths:
            yield JobId(need.rule, set_id.dataset, method, 0, network, path)
    yield _condensing("condense", set_id, "synthetic")


def _condensing(rule: str, set_id: SetId, folder: str) -> JobId:
    return JobId(rule, set_id.dataset, set_id.method, set_id.ipc, set_id.network, f"{folder}/{_path(set_id)}")


def _path(set_id: SetId) -> str:
    return f"{set_id.dataset}/{set_id.method}/{set_id.network}/ipc{set_id.ipc}/seed{set_id.seed}"


def _of_memories(config: Config, table: str) -> Iterator[JobId]:
    for memory in memories.memories(config, table):
        tasks, _, method, network, ipc, order = memory
        steps = f"continual/{tasks}/steps{memory.steps}"
        folder = f"{steps}/{method}/{network}/ipc{ipc}/order{order}"
        for number in range(memory.steps):
            if whole := memories.set_with(config, memory, number):
                yield from _of_set(config, whole)
                continue
            dataset = memories.step_of(config, tasks, memory.steps, order, number).dataset
            for name, path in needed_in_step(config, method, memory._asdict() | {"step": number}).items():
                yield JobId(NEEDS[name].step_rule, dataset, "", 0, network, path)
            yield JobId("continual_memory", dataset, method, ipc, network, f"{folder}/step{number}")
        yield JobId("continual_accuracy", tasks, method, ipc, network, f"{folder}/accuracy")


def _of_search(config: Config, search: Search) -> Iterator[JobId]:
    dataset = search.dataset
    for proxy in search.candidates:
        if set_id := search.set_of(proxy, config.network(dataset)):
            yield _condensing("condense_proxy", set_id, "search/synthetic")
        ipc = 0 if proxy == WHOLE else search.ipc
        folder = f"{proxy}/ipc{ipc}" if ipc else proxy
        for part in search.parts():
            yield JobId("search", dataset, proxy, ipc, "", f"search/accuracy/{dataset}/{folder}/{part}")
    yield JobId("search_test", dataset, WHOLE, 0, "", f"search/chosen/{dataset}")
