"""Plan every target of every protocol, and print the number of jobs that each needs.

One dry run per protocol plans all its targets; the jobs of one target are those that its files depend on.

Example:
    python tests/dry_run.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from condensery.cost.plan import Job, parse
from condensery.experiment import load_config

ROOT = Path(__file__).resolve().parents[1]


def start(protocol: str, targets: Sequence[str]) -> subprocess.Popen[str]:
    """Start a dry run of these targets."""
    options = ["--dry-run", "--forceall", "--cores", "1", "--config", f"protocol={protocol}"]
    return subprocess.Popen(
        ["snakemake", *options, "--", *targets],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def needed(jobs: Sequence[Job], target: str) -> set[Job]:
    """Return the jobs that a target needs, without the target itself."""
    maker = {output: job for job in jobs for output in job.outputs}
    found: set[Job] = set()
    waiting = [path for job in jobs if job.rule == target for path in job.inputs]
    while waiting:
        job = maker.get(waiting.pop())
        if job and job not in found:
            found.add(job)
            waiting += job.inputs
    return found


def main() -> None:
    """Plan and count the jobs of every target.

    Raises:
        SystemExit: a target cannot be planned, or needs no job.
    """
    protocols = sorted(path.stem for path in (ROOT / "config/protocols").glob("*.yaml"))
    targets = {name: [*load_config(ROOT / "config", name).targets(), "report", "all"] for name in protocols}
    runs = {name: start(name, targets[name]) for name in protocols}
    printed = {name: run.communicate()[0] for name, run in runs.items()}
    for name, run in runs.items():
        if run.returncode:
            sys.exit(f"{printed[name]}\nerror: the targets of {name} cannot be planned")
        jobs = parse(printed[name])
        for target in targets[name]:
            count = len(needed(jobs, target))
            print(f"{name:8} {target:24} {count:6} jobs")
            if not count:
                sys.exit(f"error: {target} under {name} needs no job")


if __name__ == "__main__":
    main()
