"""Measure the hot loops on this machine, and their growth with the sizes of the work.

Writes bench.csv, bench.md and bench.png to benchmarks/results/<device>/, and the rates from which the
times of jobs are estimated to benchmarks/rates.yaml. Needs no data set.

Examples:
    python benchmarks/bench.py                # twenty minutes on two cores, minutes on a GPU
    python benchmarks/bench.py --quick        # under a minute, tiny sizes: a test that it works
    python benchmarks/bench.py --minutes 8    # stop starting measurements after eight minutes
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from condensery import console
from condensery.errors import CondenseryError
from harness import plan, plot, processes, rates, table
from harness.case import Case
from harness.ceilings import Ceilings
from harness.folders import of_device


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, each measured briefly")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (auto)")
    parser.add_argument("--minutes", type=float, metavar="N", help="start no measurement after N minutes")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep what a run of this commit measured on this machine",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="default: benchmarks/results/<device>, and rates.yaml in benchmarks",
    )
    return parser.parse_args()


def main() -> None:
    """Measure, and write the table, the figure and the rates.

    Raises:
        CondenseryError: a measurement failed, or none was made.
    """
    args = parse()
    deadline = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    about, ceilings = _machine(args.device, args.quick)
    out = args.out or of_device(about["device"])
    out.mkdir(parents=True, exist_ok=True)
    before = table.kept(out / "bench.csv", about) if args.resume else []
    rows: list[dict[str, Any]] = []
    missing: list[str] = []
    cases = plan.cases(about["kind"], quick=args.quick)
    failed = 0
    for number, case in enumerate(cases, start=1):
        if known := table.holding(before, asdict(case)):
            rows.append(known)
            continue
        print(f"[{number}/{len(cases)}] {case.describe()}", end=": ", file=sys.stderr, flush=True)
        if time.monotonic() > deadline:
            missing.append(f"{case.describe()}: no time left")
            print("no time left", file=sys.stderr)
            continue
        try:
            rows.append(_measured(case, args, about, ceilings))
        except CondenseryError as error:
            # A case that does not fit the machine does not prevent the others.
            failed += 1
            missing.append(f"{case.describe()}: {error}")
            print(error, file=sys.stderr)
            continue
        print(f"{table.digits(1e3 * rows[-1]['seconds'])} ms", file=sys.stderr)
        table.write_csv(rows, out / "bench.csv")
    if not rows:
        raise CondenseryError("nothing was measured; see the messages above")
    table.write_markdown(rows, missing, out / "bench.md")
    plot.write(rows, out / "bench.png")
    if not args.quick:
        rates.update(rows, out / "rates.yaml" if args.out else rates.FILE)
    print(table.markdown(rows, missing))
    if failed:
        raise CondenseryError(f"{failed} of {len(cases)} measurements failed; {out / 'bench.md'} names them")


def _machine(device: str, quick: bool) -> tuple[dict[str, str], dict[str, Ceilings]]:
    """Return the description of the machine, and its ceilings in every precision that it supports."""
    first = processes.machine("fp32", device, quick=quick)
    about = first["about"]
    found = {"fp32": first} | {
        precision: processes.machine(precision, device, quick=quick)
        for precision in plan.precisions(about["kind"], quick=quick)
        if precision != "fp32"
    }
    return about, {name: Ceilings(each["operations"], each["bytes"]) for name, each in found.items()}


def _measured(
    case: Case, args: argparse.Namespace, about: dict[str, str], ceilings: dict[str, Ceilings]
) -> dict[str, Any]:
    seconds = 0.2 if args.quick else 6.0 if about["kind"] == "cpu" else 2.0
    result = processes.case(asdict(case), args.device, seconds=seconds)
    return table.row(case, result, ceilings[case.precision], about)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
