"""Measure what a step of each hot loop costs the host where the device takes no time. Needs no GPU.

One line per loop: its name, milliseconds of a processor per step in the thread that makes it and in others,
and what it asks of the device: launches, copies to it, waits for it.

Examples:
    python benchmarks/host.py
    python benchmarks/host.py dm training-20
    python benchmarks/host.py --beside ../before      # a checkout of another commit, in turns with this one
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from condensery import console
from harness import host, processes
from harness.host import Measured


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("loops", nargs="*", metavar="LOOP", help=f"of {', '.join(host.LOOPS)}; default: all")
    parser.add_argument("--beside", type=Path, metavar="DIR", help="a checkout to compare with")
    parser.add_argument(
        "--rounds", type=console.whole_number("--rounds", 1, 1000), default=3, help="processes for a loop (3)"
    )
    args = parser.parse_args()
    if unknown := [name for name in args.loops if name not in host.LOOPS]:
        parser.error(f"loop {unknown[0]!r} is unknown: choose from {', '.join(host.LOOPS)}")
    return args


def line(runs: list[Measured]) -> str:
    """Return what one loop took: the median over the runs, and from which to which."""
    times = [each.milliseconds for each in runs]
    spread = f"({min(times):.2f} to {max(times):.2f}, n = {len(times)})"
    other = statistics.median(each.elsewhere for each in runs)
    last = runs[-1]
    asked = f"{last.launches:.0f} launches, {last.copies:.0f} copies, {last.waits:.1f} waits"
    return f"{statistics.median(times):8.2f} ms {spread}, {other:.2f} ms elsewhere, {asked}"


def main() -> None:
    """Measure and print."""
    args = parse()
    sources = [args.beside.resolve() / "src", processes.SOURCE] if args.beside else [processes.SOURCE]
    for name in args.loops or host.LOOPS:
        runs: dict[Path, list[Measured]] = {source: [] for source in sources}
        for _ in range(args.rounds):
            for source in sources:
                runs[source].append(Measured(**processes.host(name, source)))
        for source in sources:
            where = f" of {source.parent}" if args.beside else ""
            print(f"{name + where}: {line(runs[source])}", flush=True)
        if args.beside:
            pairs = zip(*runs.values(), strict=True)
            ratios = [after.milliseconds / before.milliseconds for before, after in pairs]
            spread = f"({min(ratios):.3f} to {max(ratios):.3f}, n = {len(ratios)})"
            print(f"{name}: {statistics.median(ratios):.3f} times as long {spread}", flush=True)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
