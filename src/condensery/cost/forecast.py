"""How long a run still takes: its plan, corrected by the time that its jobs took so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from condensery.cost import plan
from condensery.cost.plan import Job
from condensery.cost.rates import DeviceRates
from condensery.experiment import Config
from condensery.progress import duration


def planned(jobs: Iterable[Job], config: Config, rates: DeviceRates, threads: int = 1) -> dict[Job, float]:
    """Return the seconds that each job of a run is planned to take.

    A job that occupies no device takes as long as one needs to start.

    Args:
        jobs: the jobs that will run.
        config: the configuration.
        rates: the speed of a device: of a GPU, or of one core.
        threads: cores of a job where a device is a core; a job computes as many times faster.
    """
    jobs = list(jobs)
    computing = plan.seconds(plan.works(jobs, config), rates)
    on_cores = {job: rates.start + max(0.0, s - rates.start) / threads for job, s in computing.items()}
    return {job: on_cores.get(job, rates.start) for job in jobs}


class Forecast:
    """The time left of a run.

    Args:
        seconds: what each job of the run is planned to take.
        devices: how many jobs run at once.
    """

    def __init__(self, seconds: Mapping[Job, float], devices: int) -> None:
        """Start with the plan alone."""
        self._left, self._devices = dict(seconds), devices
        self._took: dict[tuple[str, str], tuple[float, float]] = {}  # kind -> seconds planned, and taken

    def end(self, job: Job, seconds: float) -> None:
        """Take notice that a job has ended, after so many seconds; one of another run changes nothing."""
        if job in self._left:
            expected, taken = self._took.get(_kind(job), (0.0, 0.0))
            self._took[_kind(job)] = expected + self._left.pop(job), taken + seconds

    def left(self, running: Mapping[Job, float]) -> float:
        """Return in how many seconds the last job will have ended.

        Jobs take as many times longer than planned as those of their rule and method took; before any of
        these has ended, as all others.

        Args:
            running: the jobs that run now, with the seconds since they began.
        """
        everything = _factor(self._took.values())
        factors = {kind: _factor([pair]) for kind, pair in self._took.items()}
        remaining = {
            job: max(0.0, factors.get(_kind(job), everything) * seconds - running.get(job, 0.0))
            for job, seconds in self._left.items()
        }
        return plan.makespan(remaining, self._devices)


def rough(seconds: float) -> str:
    """Write an estimate for people: in steps of 10 seconds, from ten minutes on of minutes."""
    step = 10 if seconds < 600 else 60
    return f"about {duration(max(step, step * round(seconds / step))).removesuffix(' 00 s')}"


def _kind(job: Job) -> tuple[str, str]:
    return job.rule, job.wildcards.get("method", "")


def _factor(pairs: Iterable[tuple[float, float]]) -> float:
    expected, taken = (
        (sum(values) for values in zip(*pairs, strict=True)) if (pairs := list(pairs)) else (0, 0)
    )
    return taken / expected if expected else 1.0
