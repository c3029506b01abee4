"""Time steps of the methods after DM by this project and by their authors' public code, side by side.

Two processes with one thread each compute alternating steps of the same sizes on images of noise, measured in
seconds of a processor, so that other work on the machine has little influence. For the same weights and
images both compute the loss and its gradients, and the table states how far they differ. The authors' code
is imported from a checkout; none of it is in this repository. Updates the rows of the method in
against_methods.csv and .md in benchmarks/results/<device>/.

Examples:
    git clone https://github.com/yongchaoz/FRePo frepo
    python -m venv jax && jax/bin/pip install absl-py flax jax optax pandas tqdm
    python benchmarks/against_methods.py --method frepo --reference frepo --python jax/bin/python
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from condensery import console
from condensery.errors import CondenseryError
from condensery.files import atomic
from condensery.machine import device as devices
from condensery.machine.versions import versions
from harness import method_pairs
from harness.against import METHODS, Work
from harness.folders import of_device
from harness.table import digits, grid, kept, write_csv


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR", help="the checkout")
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="that of the authors' code; this one",
    )
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="pairs of steps; 5")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one pair; writes only to --out")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: benchmarks/results/<device>")
    return parser.parse_args()


def main() -> None:
    """Compare, and update the table.

    Raises:
        CondenseryError: the reference is no folder, or a process stopped.
    """
    args = parse()
    if not args.reference.is_dir():
        raise CondenseryError(f"{args.reference}: no such folder: clone the authors' code first")
    torch.set_num_threads(1)  # as both sides do, which the name of the device states
    label = devices.choose("cpu").label
    out = args.out or (None if args.quick else of_device(label))
    rows = kept(out / "against_methods.csv", {}) if out else []
    for work in method_pairs.works(args.method, quick=args.quick):
        print(f"{work.step}{', compiled' if work.compiled else ''}", end=": ", file=sys.stderr, flush=True)
        pairs = 1 if args.quick else args.pairs
        outcome = method_pairs.compare(args.method, work, args.reference, args.python, pairs=pairs)
        row = _row(args.method, work, args.reference, outcome) | {"device": label, **versions()}
        print(f"{row['ratio']:.2f} times as fast", file=sys.stderr)
        rows = replaced(rows, row)
        if out:
            write_csv(rows, out / "against_methods.csv")
            with atomic(out / "against_methods.md") as temporary:
                temporary.write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))


def _row(method: str, work: Work, reference: Path, outcome: method_pairs.Outcome) -> dict[str, Any]:
    what = {"method": method, "step": work.step, "compiled": work.compiled}
    theirs = {"repository": work.repository, "their_commit": method_pairs.commit_of(reference)}
    return {**what, **outcome.row(), **theirs}


def replaced(rows: Sequence[dict[str, Any]], row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows with a new one in place of that of the same work, or at the end; sorted by method."""
    found = [r for r in rows if any(r[name] != row[name] for name in ("method", "step", "compiled"))]
    return sorted([*found, row], key=lambda r: METHODS.index(r["method"]))


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as text."""
    head = ["step", "ratio, median (range)", "pairs", "ours compiled", "their step", "our step"]
    head += ["loss", "gradients", "theirs", "with", "ours", "PyTorch"]
    body = [
        [
            r["step"],
            f"{r['ratio']:.2f} ({r['ratio_least']:.2f} to {r['ratio_most']:.2f})",
            str(r["pairs"]),
            "yes" if r["compiled"] else "no",
            f"{digits(1e3 * r['their_seconds'])} ms",
            f"{digits(1e3 * r['our_seconds'])} ms",
            f"{r['loss_difference']:.0e}",
            f"{r['gradient_difference']:.0e}",
            f"{r['repository']} {r['their_commit'][:7]}",
            r["their_versions"],
            r["commit"][:7],
            r["torch"],
        ]
        for r in rows
    ]
    return "\n".join(
        [
            f"# The later methods against their authors' code: {rows[0]['device']}\n",
            "[README.md](../../README.md) says what the columns mean.\n",
            grid(head, body),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(console.run(main))
