"""The speed of devices: seconds from work, fitted to the measured times of jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from condensery.cost import work
from condensery.cost.condensing_work import condensing
from condensery.cost.work import Work
from condensery.errors import CondenseryError
from condensery.experiment import Config
from condensery.experiment.checks import check_set
from condensery.experiment.reading import read
from condensery.experiment.schemas import check


@dataclass(frozen=True)
class Rate:
    """The speed of a device in one kind of work: seconds per step, and seconds per multiply-add."""

    step: float
    multiply_add: float

    def seconds(self, amount: Work) -> float:
        """Return how long the work takes."""
        return self.step * amount.steps + self.multiply_add * amount.multiply_adds


@dataclass(frozen=True)
class Speed:
    """Operations per second of one core, in a large matrix product and in a ConvNet's convolution."""

    product: float
    convolution: float

    def slowdown(self, reference: Speed) -> float:
        """Return by which factor work takes longer than on a reference: the larger of the two ratios."""
        return max(reference.product / self.product, reference.convolution / self.convolution)


@dataclass(frozen=True)
class DeviceRates:
    """The speed of a device.

    Attributes:
        device: its name, for readers.
        source: where the times come from, for readers.
        start: seconds from a job's start until it computes.
        kinds: kind of work -> its rate.
        speed: the speed of the timed device; None if all devices of its kind are alike.
        slowest: precision -> the speed of the slowest device for which time limits must suffice.
    """

    device: str
    source: str
    start: float
    kinds: Mapping[str, Rate]
    speed: Speed | None = None
    slowest: Mapping[str, Speed] = field(default_factory=dict)

    def slowed(self, slowdown: float) -> DeviceRates:
        """Return the rates of a device that takes ``slowdown`` times as long."""
        kinds = {k: Rate(slowdown * r.step, slowdown * r.multiply_add) for k, r in self.kinds.items()}
        return replace(self, kinds=kinds)

    def for_limits(self, precision: str) -> DeviceRates:
        """Return the rates to compute time limits from: those of the slowest device, where one is stated."""
        slowest = self.slowest.get(precision)
        return self.slowed(slowest.slowdown(self.speed)) if slowest and self.speed else self

    def seconds(self, amount: Work) -> float:
        """Return the seconds of a job; a kind of work without measured times has the slowest rate."""
        rate = self.kinds.get(amount.kind)
        rates = [rate] if rate else list(self.kinds.values())
        return self.start + max(r.seconds(amount) for r in rates)


def read_rates(path: Path, config: Config) -> dict[str, DeviceRates]:
    """Read the file of rates.

    Args:
        path: benchmarks/rates.yaml; its first lines describe it.
        config: the settings that the file does not give. Its protocol is not used.

    Returns:
        Name of the device -> its rates.

    Raises:
        CondenseryError: the file does not match its schema, or a job in it is invalid.
    """
    content = read(path)
    check(content, "rates.schema.yaml", path)
    published = replace(config, spec={"networks": 1})
    return {name: _device(published, entry, path, name) for name, entry in content.items()}


def _device(config: Config, entry: Mapping[str, Any], path: Path, device: str) -> DeviceRates:
    seen: dict[str, list[tuple[Work, float]]] = {}
    for number, job in enumerate(entry["jobs"]):
        try:
            amount = _work(config, job)
        except CondenseryError as error:
            raise CondenseryError(f"{path}: {device}: {error}") from error
        kind, name = _made(job)
        keys = (device, "jobs", number, "parameters")
        check_set(config, kind, name, job.get("parameters", {}), path, keys)
        seen.setdefault(amount.kind, []).append((amount, job["seconds"]))
    kinds = {kind: fit(jobs, entry.get("seconds_per_step")) for kind, jobs in seen.items()}
    speed = Speed(**entry["speed"]) if "speed" in entry else None
    slowest = {precision: Speed(**values) for precision, values in entry.get("slowest", {}).items()}
    return DeviceRates(entry["device"], entry["source"], entry["start"], kinds, speed, slowest)


def _work(config: Config, job: Mapping[str, Any]) -> Work:
    dataset = job["dataset"]
    network = job.get("network", config.network(dataset))
    kind, name = _made(job)
    changed = {name: {"parameters": job.get("parameters", {})}}
    config = replace(config, spec={**config.spec, kind: changed})
    if kind == "methods":
        work_of_set = condensing(config, dataset, name, network, job["ipc"])
        if work_of_set is None:
            raise CondenseryError(f"method {name} does not state its work: add the key 'work' to its entry")
        return work_of_set
    return work.training(config, dataset, name, network, job.get("ipc", 0))


def _made(job: Mapping[str, Any]) -> tuple[str, str]:
    """Return the kind of entry of config/ that a job belongs to, and the name of the entry."""
    return ("methods", job["method"]) if "method" in job else ("recipes", job["recipe"])


def fit(jobs: Sequence[tuple[Work, float]], step: float | None = None) -> Rate:
    """Fit a rate to jobs by least squares of the relative errors.

    Args:
        jobs: pairs of work and measured seconds.
        step: seconds per step, if known; only the seconds per multiply-add are fitted then.

    Returns:
        A rate with seconds per step and per multiply-add of 0 or more.
    """
    # Every job is an equation a x + b y = 1, a and b being its steps and its multiply-adds per second.
    xs = [amount.steps / seconds for amount, seconds in jobs]
    ys = [amount.multiply_adds / seconds for amount, seconds in jobs]
    xx, xy, yy = (sum(p * q for p, q in zip(a, b, strict=True)) for a, b in ((xs, xs), (xs, ys), (ys, ys)))
    x, y = sum(xs), sum(ys)
    determinant = xx * yy - xy * xy
    if step is None:
        # With one job, or jobs that differ only in size, the two rates cannot be separated.
        apart = determinant > 1e-9 * xx * yy
        step = max(0.0, (x * yy - y * xy) / determinant) if apart else 0.0
    if yy == 0:
        return Rate(x / xx, 0.0)
    multiply_add = (y - step * xy) / yy
    return Rate(step, multiply_add) if multiply_add >= 0 else Rate(x / xx, 0.0)
