r"""Print the cost of a run in advance: its jobs, hours and wall time per device, disk and memory.

Reads the output of `snakemake --dry-run`, so that finished jobs do not count.

Example:
    snakemake --dry-run --cores all --config protocol=laptop -- table1 2>&1 \
        | python scripts/plan.py --protocol laptop
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from condensery import console, cost
from condensery.cost import plan
from condensery.errors import CondenseryError
from condensery.experiment import Config, load_config
from condensery.machine import device, speed
from condensery.progress import duration


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    parser.add_argument("--protocol", required=True, metavar="NAME", help="protocol of the dry run")
    parser.add_argument(
        "--devices",
        type=console.whole_number("--devices", 1, 10**6),
        nargs="+",
        default=[1, 4, 16],
        metavar="N",
        help="numbers of devices; default: 1 4 16",
    )
    parser.add_argument(
        "--precision",
        choices=device.PRECISIONS,
        help="the precision given to Snakemake; default: the protocol's",
    )
    console.add_config_argument(parser)
    parser.add_argument(
        "--rates",
        type=Path,
        default=Path("benchmarks/rates.yaml"),
        metavar="FILE",
        help="measured times; default: %(default)s",
    )
    return parser.parse_args()


def of_this_machine(rates: cost.DeviceRates, config: Config) -> cost.DeviceRates:
    """Scale measured rates to this machine's CPU, which is timed for a second, and print the comparison.

    Args:
        rates: of the device that was timed. If its entry states no speed, which is so for GPUs, the rates are
            returned unchanged.
        config: the configuration, which has the precision.

    Raises:
        CondenseryError: the precision needs a GPU, and the rates are of a CPU.
    """
    if rates.speed is None:
        return rates
    on = device.choose("cpu", config.precision, native_only=not config.settings["precision"])
    present = cost.Speed(*speed.rates(on.precision))
    slowdown = present.slowdown(rates.speed)
    print(f"  scaled to this machine: {slowdown:.2g} times as long, {on.label}, {on.precision}, per core")
    for name in ("product", "convolution"):
        measured, timed = getattr(present, name) / 1e9, getattr(rates.speed, name) / 1e9
        print(f"    {name:<13}{measured:8.1f} GFLOP/s, {timed:.0f} where the times were measured")
    return rates.slowed(slowdown)


def main() -> None:
    """Read the jobs from standard input, add up their costs, and print them.

    Raises:
        CondenseryError: the configuration or the file of rates is invalid, or standard input is not the
            output of a dry run of this workflow.
    """
    args = arguments()
    text = sys.stdin.buffer.read().decode(errors="replace")
    jobs = plan.parse(text)
    if not jobs:
        if "Nothing to be done" in text:
            print("Nothing to be done.")
            return
        lines = text.strip().splitlines() or ["nothing"]
        raise CondenseryError(
            f"no jobs on standard input, only: {lines[-1]}; give it the output of a dry run"
        )
    config = load_config(
        args.config, args.protocol, {"precision": args.precision} if args.precision else None
    )
    try:
        amounts = plan.works(jobs, config)
        memory = max((int(job.resources.get("mem_mb", 0)) for job in jobs), default=0)
        sizes = plan.disk(jobs, config)
        unknown = {job.rule: job.limit for job, amount in amounts if amount is None}
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise CondenseryError(
            f"standard input has a job that is not of this workflow ({error!r}); give it the output of a "
            "dry run"
        ) from error
    counts = ", ".join(f"{count} {rule}" for rule, count in Counter(job.rule for job in jobs).most_common())
    print(f"{len(jobs)} jobs: {counts}")
    for name, rates in cost.read_rates(args.rates, config).items():
        print(f"\n{name}: {rates.device}\n  {rates.source}")
        try:
            rates = of_this_machine(rates, config)
        except CondenseryError as error:  # the precision needs a GPU
            print(f"  not planned: {error}")
            continue
        durations = plan.seconds(amounts, rates)
        longest = max(durations, key=durations.__getitem__, default=None)
        print(f"  device hours      {sum(durations.values()) / 3600:,.1f}")
        for count in args.devices:
            print(f"  wall time on {count:<5}{duration(plan.makespan(durations, count))}")
        if longest:
            coordinates = " ".join(longest.wildcards.values())
            print(f"  longest job       {duration(durations[longest])} ({longest.rule} {coordinates})")
    if unknown:
        print(f"\nUnknown work, counted with its time limit: {', '.join(sorted(unknown))}.")
    written = "".join(f", {name} {size / 1e9:.2g} GB" for name, size in sizes.items())
    print(f"\nmemory of a job   up to {memory / 1000:.1f} GB\nwritten to disk   about{written.lstrip(',')}")
