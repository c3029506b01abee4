# Prints the estimated time of the run: at its start, and when a job ends, at most twice a minute. The estimate is the
# plan of `make plan`, corrected by the jobs that have ended. An error in the estimate never stops the run.
import logging
import subprocess
import time

from condensery.cost import forecast, plan
from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

SECONDS_BETWEEN_LINES = 30
LONG = 600  # seconds; for longer plans the speed of this machine is measured first


class TimeLeft(logging.Handler):
    # Receives Snakemake's log events.
    def __init__(self, jobs: dict, seconds: dict, at_once: int, here: bool) -> None:
        super().__init__()
        self.jobs = jobs  # number of the job -> its job in Snakemake and in the plan
        self.forecast = forecast.Forecast(seconds, at_once)
        self.here = here  # jobs of a cluster wait after they have been submitted
        self.began = {}
        self.said = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.follow(record)
        except Exception as error:
            logger.removeHandler(self)
            logger.warning(f"The time left is no longer estimated: {error!r}")

    def follow(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_STARTED:
            self.began |= dict.fromkeys(record.jobs, now)
        elif event == LogEvent.JOB_FINISHED and record.job_id in self.jobs:
            began = self.began.pop(record.job_id, now)
            job, planned = self.jobs[record.job_id]
            self.forecast.end(planned, seconds_of(job, now - began))
        elif event == LogEvent.PROGRESS and record.done < record.total:
            if now - self.said >= SECONDS_BETWEEN_LINES:
                self.said = now
                say(f"{forecast.rough(self.left(now)).capitalize()} left.")

    def left(self, now: float) -> float:
        running = {
            self.jobs[number][1]: now - began
            for number, began in self.began.items()
            if self.here and number in self.jobs
        }
        return self.forecast.left(running)


def say(text: str) -> None:
    logger.info(text, extra={"quietness": Quietness.PROGRESS})


def seconds_of(job, otherwise: float) -> float:
    # Its benchmark excludes the waiting time on a cluster.
    try:
        text = Path(str(job.benchmark)).read_text()
        return float(text.splitlines()[1].split("\t")[0])
    except (OSError, IndexError, ValueError):
        return otherwise


def planned_job(job) -> plan.Job:
    resources = {name: str(value) for name, value in job.resources.items()}
    inputs, outputs = (frozenset(map(str, files)) for files in (job.input, job.output))
    return plan.Job(job.rule.name, dict(job.wildcards_dict), inputs, outputs, resources)


def measured(rates):
    # The rates of a core of this machine, measured in another process so that this one does not import torch.
    chosen = f"'cpu', {PRECISION!r}, native_only={not CONFIG.settings['precision']}"
    code = f"""from condensery.machine import device, speed
print(*speed.rates(device.choose({chosen}).precision))"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not rates.speed:
        return rates
    speed = cost.Speed(*map(float, done.stdout.split()))
    return rates.slowed(speed.slowdown(rates.speed))


def follow(workflow) -> None:
    jobs = {
        workflow.dag.jobid(job): (job, planned_job(job))
        for job in workflow.dag.needrun_jobs()
        if job.output
    }
    computing = [job for job, planned in jobs.values() if planned.computes]
    here = workflow.nodes is None
    on_gpus = HERE if here else GPU
    rates = ALL_RATES["gpu" if on_gpus else "cpu"]
    threads = 1 if on_gpus else max((job.threads for job in computing), default=1)
    at_once = (HERE or workflow.cores // threads) if here else workflow.nodes
    at_once = max(1, min(at_once, len(jobs)))

    def seconds() -> dict:
        every = [planned for _, planned in jobs.values()]
        return forecast.planned(every, CONFIG, rates, threads)

    if here and not on_gpus and plan.makespan(seconds(), at_once) > LONG:
        rates = measured(rates)
    handler = TimeLeft(jobs, seconds(), at_once, here)
    logger.addHandler(handler)
    say(
        f"The run takes {forecast.rough(handler.forecast.left({}))} by its plan. Jobs that compute: {len(computing)},"
        f" {at_once} at once."
    )


onstart:
    if not workflow.touch:
        try:
            follow(workflow)
        except Exception as error:
            logger.warning(f"The time of this run is not estimated: {error!r}")
