"""The remaining time of a run: its plan, corrected by the measured times of its finished jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from condensery.cost import plan
from condensery.cost.plan import Job
from condensery.cost.rates import DeviceRates
from condensery.experiment import Config
from condensery.progress import duration


def planned(jobs: Iterable[Job], config: Config, rates: DeviceRates, threads: int = 1) -> dict[Job, float]:
    """Return the planned seconds of each job of a run.

    A job that occupies no device takes the time in which a job starts.

    Args:
        jobs: the jobs that will run.
        config: the configuration.
        rates: the speed of one device: a GPU, or one core.
        threads: cores per job, if a device is a core; a job computes ``threads`` times as fast.
    """
    jobs = list(jobs)
    computing = plan.seconds(plan.works(jobs, config), rates)
    on_cores = {job: rates.start + max(0.0, s - rates.start) / threads for job, s in computing.items()}
    return {job: on_cores.get(job, rates.start) for job in jobs}


class Forecast:
    """The remaining time of a run.

    Args:
        seconds: the planned seconds of each job of the run.
        devices: the number of jobs that run at once.
    """

    def __init__(self, seconds: Mapping[Job, float], devices: int) -> None:
        """Start with the plan alone."""
        self._left, self._devices = dict(seconds), devices
        self._took: dict[tuple[str, str], tuple[float, float]] = {}  # kind -> seconds planned, and taken

    def end(self, job: Job, seconds: float) -> None:
        """Record that a job has ended.

        Args:
            job: the job; one that is not in the plan is ignored.
            seconds: the time that it took.
        """
        if job in self._left:
            expected, taken = self._took.get(_kind(job), (0.0, 0.0))
            self._took[_kind(job)] = expected + self._left.pop(job), taken + seconds

    def left(self, running: Mapping[Job, float]) -> float:
        """Return the seconds until the last job ends.

        The planned time of a job is multiplied by the ratio of measured to planned time of the finished jobs
        of the same rule and method, or of all finished jobs if there are none.

        Args:
            running: the jobs that run now, with the seconds since their start.
        """
        everything = _factor(self._took.values())
        factors = {kind: _factor([pair]) for kind, pair in self._took.items()}
        remaining = {
            job: max(0.0, factors.get(_kind(job), everything) * seconds - running.get(job, 0.0))
            for job, seconds in self._left.items()
        }
        return plan.makespan(remaining, self._devices)


def rough(seconds: float) -> str:
    """Write an estimate, rounded to 10 seconds, or to minutes from ten minutes on."""
    step = 10 if seconds < 600 else 60
    return f"about {duration(max(step, step * round(seconds / step))).removesuffix(' 00 s')}"


def _kind(job: Job) -> tuple[str, str]:
    return job.rule, job.wildcards.get("method", "")


def _factor(pairs: Iterable[tuple[float, float]]) -> float:
    expected, taken = (
        (sum(values) for values in zip(*pairs, strict=True)) if (pairs := list(pairs)) else (0, 0)
    )
    return taken / expected if expected else 1.0
