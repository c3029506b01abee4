"""Measure the effect of precision on accuracy: condense and evaluate at equal seeds in every precision.

A study resumes an earlier run in the same folder. Writes one row per trained network to
benchmarks/results/<device>/precision-<study>/rows.parquet, and a summary in the same folder.

Examples:
    python scripts/prepare.py --data mnist
    python benchmarks/precision.py --study small                     # a quarter of an hour on two cores
    python benchmarks/precision.py --study ipc50 --minutes 9         # stop, saved, after nine minutes
    python benchmarks/precision.py --study small --page docs/precision.md --minutes 0.01
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from condensery import console
from condensery.errors import CondenseryError, Stopped
from condensery.files import atomic
from condensery.machine import device as devices
from harness import paired
from harness.folders import of_device
from harness.study import STUDIES
from harness.study_run import StudyRun
from harness.time_limit import time_limit


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", choices=STUDIES, required=True, help="the sets, networks and steps")
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=devices.PRECISIONS,
        help="fp32 and bf16, on a GPU also tf32; must include fp32",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (auto)")
    parser.add_argument(
        "--prepared", type=Path, default=Path("data/prepared"), metavar="DIR", help="data/prepared"
    )
    parser.add_argument("--minutes", type=float, metavar="N", help="stop after N minutes; rerun to resume")
    parser.add_argument("--page", type=Path, metavar="FILE", help="page that receives the summary")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the study")
    return parser.parse_args()


def main() -> None:
    """Compute the missing evaluations, and summarize all of them.

    Raises:
        CondenseryError: fp32 is not among the precisions.
    """
    args = parse()
    study = STUDIES[args.study]
    # Reserves its GPU for this process, so that the jobs of the tasks need not.
    device = devices.choose(args.device)
    default = ["fp32", "bf16"] if device.torch_device.type == "cpu" else ["fp32", "tf32", "bf16"]
    precisions = args.precisions or default
    if "fp32" not in precisions:
        raise CondenseryError("--precisions: fp32 is missing, with which the others are compared: add it")
    out = args.out or of_device(device.label) / f"precision-{study.name}"
    run = StudyRun(study, out, args.prepared, str(device.torch_device))
    tasks = list(study.tasks(precisions))
    with contextlib.suppress(Stopped), time_limit(args.minutes) as stopped:
        for task in tasks:
            if not stopped and not run.done(task):
                run.compute(task)
    if left := sum(not run.done(task) for task in tasks):
        print(f"Stopped with {left} of {len(tasks)} evaluations to do: run it again", file=sys.stderr)
    if run.rows.empty:
        return
    text = paired.block(run.rows, study.name)
    with atomic(out / "summary.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    if args.page:
        paired.put(args.page, f"{study.name}, {device.label}", text)
    print(text)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
