"""Compare two ways to train evaluation networks on two cores: two processes, or one process with two threads.

The two processes have one thread each. One line per number of images per class: the milliseconds that an
epoch of one network takes of the machine in both ways, and their ratio. The default of `threads.evaluate`
in config/config.yaml follows from it. Measures wall time, and therefore needs an idle machine.

Examples:
    python benchmarks/threads.py                      # five minutes
    python benchmarks/threads.py --ipc 10 --pairs 2
"""

from __future__ import annotations

import argparse
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from condensery import console
from harness import processes
from harness.case import Case

_CORES = 2


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    count = console.whole_number
    parser.add_argument(
        "--ipc", nargs="+", type=count("--ipc", 1, 1000), default=[1, 10], help="images per class (1 10)"
    )
    parser.add_argument("--pairs", type=count("--pairs", 1, 100), default=5, help="of both ways (5)")
    parser.add_argument(
        "--seconds", type=count("--seconds", 1, 600), default=5, help="that a process measures (5)"
    )
    return parser.parse_args()


def at_once(case: Case, count: int, threads: int, seconds: float) -> float:
    """Return the milliseconds of the machine per epoch of a network.

    Args:
        case: the training of one network.
        count: processes at the same time.
        threads: of each process.
        seconds: that each process measures.
    """

    def epoch(_: int) -> float:
        return processes.case(asdict(case), "cpu", seconds=seconds, threads=threads)["seconds"]

    with ThreadPoolExecutor(count) as pool:
        return 1e3 * statistics.mean(pool.map(epoch, range(count))) / count


def main() -> None:
    """Measure both ways in turns, and print them."""
    args = parse()
    for ipc in args.ipc:
        case = Case("loops", "training", compiled=True, ipc=ipc)
        several: list[float] = []
        one: list[float] = []
        for _ in range(args.pairs):
            several.append(at_once(case, _CORES, 1, args.seconds))
            one.append(at_once(case, 1, _CORES, args.seconds))
        ratios = [after / before for before, after in zip(several, one, strict=True)]
        spread = f"({min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)})"
        print(
            f"{ipc} images per class: {statistics.median(several):.1f} ms per epoch with {_CORES} processes "
            f"of one thread, {statistics.median(one):.1f} ms with one process of {_CORES} threads: "
            f"{statistics.median(ratios):.2f} times as long {spread}",
            flush=True,
        )


if __name__ == "__main__":
    raise SystemExit(console.run(main))
