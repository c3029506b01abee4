"""Time the same work with the authors' public code and with this project's, and compare the results.

Two processes compute alternating steps on the same images. The authors' code (VICO-UoE/DatasetCondensation)
is imported from a checkout; none of it is in this repository. Writes against_reference.csv and .md to
benchmarks/results/<device>/.

Examples:
    git clone https://github.com/VICO-UoE/DatasetCondensation reference
    python benchmarks/against_reference.py --reference reference
    python benchmarks/against_reference.py --reference reference --quick
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from condensery import console
from condensery.errors import CondenseryError
from condensery.files import atomic
from condensery.machine import device as devices
from condensery.machine.versions import versions
from harness import pairs
from harness.folders import of_device
from harness.pair_case import KINDS, PairCase, pair_cases
from harness.table import digits, grid, holding, kept, write_csv

DATA = Path("data/prepared/cifar10")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR", help="the checkout")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help=f"a prepared data set; {DATA} if it is there, or else noise"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="the GPU if there is one")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="only these kinds of work")
    parser.add_argument("--steps", type=int, metavar="N", help="pairs of steps; 5, on a GPU up to 20")
    parser.add_argument("--minutes", type=float, metavar="N", help="start no comparison after N minutes")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one pair, on noise")
    parser.add_argument("--resume", action="store_true", help="keep results of this commit on this machine")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: benchmarks/results/<device>")
    return parser.parse_args()


def main() -> None:
    """Compare, and write the table.

    Raises:
        CondenseryError: the reference is not a checkout of the authors' code, or a process stopped.
    """
    args = parse()
    if not (args.reference / "utils.py").is_file():
        raise CondenseryError(
            f"{args.reference}: not a checkout of VICO-UoE/DatasetCondensation: clone it and give its folder"
        )
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    prepared = None if args.quick else args.data or (DATA if (DATA / "info.json").exists() else None)
    deadline = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    label = devices.choose(device).label
    out = args.out or of_device(label)
    about = {"data": str(prepared.name) if prepared else "noise", "device": label, **versions()}
    before = kept(out / "against_reference.csv", about) if args.resume else []
    rows: list[dict[str, Any]] = []
    for case in pair_cases(device, quick=args.quick):
        if args.kinds and case.kind not in args.kinds:
            continue
        known = holding(before, asdict(case))
        if not known and time.monotonic() > deadline:
            print(f"{case.describe()}: no time left", file=sys.stderr)
            continue
        steps = args.steps or (1 if args.quick else case.steps(device))
        rows.append(known or one(case, args.reference, prepared, device, steps) | about)
        write_csv(rows, out / "against_reference.csv")
        with atomic(out / "against_reference.md") as temporary:
            temporary.write_text(markdown(rows), encoding="utf-8")
    if rows:
        print(markdown(rows))


def one(case: PairCase, reference: Path, prepared: Path | None, device: str, steps: int) -> dict[str, Any]:
    """Return the row of one comparison, and print its result."""
    description = f"{case.describe()}, {case.precision} against our {case.our_precision}"
    print(description, end=": ", file=sys.stderr, flush=True)
    row = pairs.compare(case, reference, prepared, device, steps=steps).row()
    print(f"{row['ratio']:.2f} times as fast", file=sys.stderr)
    return {"work": case.describe(), **row}


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as text."""
    first = rows[0]
    head = [
        "work",
        "theirs",
        "ours",
        "their step",
        "our step",
        "ratio",
        "result",
        "theirs",
        "ours",
        "difference",
    ]
    body = [
        [
            r["work"],
            r["precision"],
            r["our_precision"],
            f"{digits(1e3 * r['their_seconds'])} ms",
            f"{digits(1e3 * r['our_seconds'])} ms",
            f"{r['ratio']:.2f} ± {r['ratio_spread']:.2f}",
            KINDS[r["kind"]][1],
            f"{r['their_value']:.4g}",
            f"{r['our_value']:.4g}",
            f"{r['difference']:+.2g}" + (f" ± {error:.2g}" if not math.isnan(error) else ""),
        ]
        for r in rows
        for error in [float(r["difference_error"])]
    ]
    return "\n".join(
        [
            f"# Against the authors' code: {first['device']}\n",
            f"condensery {first['condensery']} at {first['commit'][:12]}, PyTorch {first['torch']}; data: "
            f"{first['data']}. [README.md](../../README.md) says what the columns mean.\n",
            grid(head, body),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(console.run(main))
