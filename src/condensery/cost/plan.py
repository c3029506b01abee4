"""The cost of a planned run: the jobs that a dry run lists, their work, and when the last one would end."""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from condensery.cost import expert_work, pool_work, work
from condensery.cost.jobs import of_job
from condensery.cost.rates import DeviceRates
from condensery.cost.work import Work
from condensery.experiment import Config


@dataclass(frozen=True, eq=False)
class Job:
    """A job that a dry run lists.

    Attributes:
        rule: its rule.
        wildcards: its coordinates.
        inputs: the files that it reads.
        outputs: the files that it writes.
        resources: the resources that it requests.
    """

    rule: str
    wildcards: Mapping[str, str]
    inputs: frozenset[str]
    outputs: frozenset[str]
    resources: Mapping[str, str]

    @property
    def computes(self) -> bool:
        """Whether it occupies a device: it requests a GPU, or would if there were one."""
        return "gpu" in self.resources

    @property
    def limit(self) -> float:
        """Its time limit in seconds."""
        return 60.0 * int(self.resources["runtime"])


def parse(text: str) -> list[Job]:
    """Read the jobs from what ``snakemake --dry-run`` prints."""
    jobs: list[Job] = []
    fields: dict[str, list[str]] = {}
    rule = ""
    for line in [*text.splitlines(), "rule end:"]:
        if found := re.fullmatch(r"\s*(?:local)?(?:rule|checkpoint) (\w+):", line):
            if rule:
                jobs.append(_job(rule, fields))
            rule, fields = found[1], {}
        elif found := re.fullmatch(r"\s+(input|output|wildcards|resources): (.*)", line):
            fields[found[1]] = found[2].split(", ")
    return jobs


def _job(rule: str, fields: Mapping[str, Sequence[str]]) -> Job:
    wildcards, resources = (
        dict(entry.partition("=")[::2] for entry in fields.get(name, ()))
        for name in ("wildcards", "resources")
    )
    inputs, outputs = (frozenset(fields.get(name, ())) for name in ("input", "output"))
    return Job(rule, wildcards, inputs, outputs, resources)


def works(jobs: Iterable[Job], config: Config) -> list[tuple[Job, Work | None]]:
    """Return every job that occupies a device, with its work, or None if the work is unknown."""
    return [(job, of_job(config, job.rule, job.wildcards)) for job in jobs if job.computes]


def seconds(jobs: Iterable[tuple[Job, Work | None]], rates: DeviceRates) -> dict[Job, float]:
    """Return the seconds of each job on a device; a job of unknown work takes its whole time limit."""
    return {job: job.limit if amount is None else rates.seconds(amount) for job, amount in jobs}


def makespan(durations: Mapping[Job, float], devices: int) -> float:
    """Return the seconds until the last job ends if each device always takes the longest job that can run.

    A job can run once the jobs that write its inputs have ended; jobs without a duration take no time.

    Args:
        durations: seconds per job.
        devices: the number of jobs that run at once.
    """
    maker = {output: job for job in durations for output in job.outputs}
    waits = {job: {maker[path] for path in job.inputs if path in maker} for job in durations}
    followers: dict[Job, list[Job]] = {}
    for job, needed in waits.items():
        for other in needed:
            followers.setdefault(other, []).append(job)
    order = {job: number for number, job in enumerate(durations)}
    ready = [(-durations[job], order[job], job) for job, needed in waits.items() if not needed]
    heapq.heapify(ready)
    running: list[tuple[float, int, Job]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < devices:
            _, number, job = heapq.heappop(ready)
            heapq.heappush(running, (now + durations[job], number, job))
        now, _, ended = heapq.heappop(running)
        for job in followers.get(ended, ()):
            waits[job].discard(ended)
            if not waits[job]:
                heapq.heappush(ready, (-durations[job], order[job], job))
    return now


def disk(jobs: Iterable[Job], config: Config) -> dict[str, float]:
    """Return the bytes that jobs write, by kind.

    Returns:
        ``data``, prepared images; ``sets``, synthetic images; ``pools``, states of the networks of pools and
        pairs; ``experts``, states of experts.
    """
    total: defaultdict[str, float] = defaultdict(float)
    for job in jobs:
        if job.rule == "prepare":
            dataset = job.wildcards["dataset"]
            images = work.training_images(config, dataset) * (1 + work.TEST_SHARE)
            total["data"] += images * work.image_floats(config, dataset)
        elif job.rule == "pool":
            total["pools"] += pool_work.stored_bytes(config, job.wildcards)
        elif job.rule == "pairs":
            total["pools"] += pool_work.stored_bytes_of_pairs(config, job.wildcards)
        elif job.rule == "experts":
            total["experts"] += expert_work.stored_bytes(config, job.wildcards)
        elif job.rule in ("condense", "gather"):  # the parts of a gathered set do not stay
            dataset, ipc = job.wildcards["dataset"], int(job.wildcards["ipc"])
            total["sets"] += 4 * ipc * config.class_count(dataset) * work.image_floats(config, dataset)
    return dict(total)
