"""Show the time of the hot loops by kind of operator.

Writes profile.md to benchmarks/results/<device>/: the share of convolutions, normalization, augmentation and
so on in each loop, at the sizes of the main table of bench.py. Needs no data set.

Examples:
    python benchmarks/profile_steps.py                        # the three loops of condensing and evaluating
    python benchmarks/profile_steps.py --precisions bf16 --loops dm --ipc 50
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from condensery import console
from condensery.files import atomic
from condensery.machine import device as devices
from condensery.machine.versions import versions
from harness import plan, profiling, table
from harness.case import LOOPS, Case
from harness.folders import of_device


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), help="default: all")
    parser.add_argument("--precisions", nargs="+", choices=devices.PRECISIONS, help="default: all there are")
    parser.add_argument("--ipc", type=int, nargs="+", default=[10], metavar="K", help="images per class (10)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (auto)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: benchmarks/results/<device>")
    return parser.parse_args()


def main() -> None:
    """Profile every case and write the table."""
    args = parse()
    device = devices.choose(args.device)
    kind = device.torch_device.type
    body = []
    with tempfile.TemporaryDirectory() as folder:
        for precision in args.precisions or plan.precisions(kind, quick=False):
            for ipc in args.ipc:
                for loop in args.loops:
                    case = Case("loops", loop, precision, compiled=True, ipc=ipc)
                    torch._dynamo.reset()
                    found = profiling.of_case(case, args.device, Path(folder))
                    body.append(_line(case, found))
    text = _page(device.label, body)
    out = args.out or of_device(device.label)
    with atomic(out / "profile.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def _kinds() -> list[str]:
    return [*profiling.KINDS, profiling.OUTSIDE]


def _line(case: Case, found: profiling.Profile) -> list[str]:
    step = f"{table.digits(1e3 * found.seconds)} ms"
    shares = [f"{found.share(kind):.0%}" for kind in _kinds()]
    return [case.loop, case.precision, str(case.ipc), step, *shares]


def _page(device: str, body: list[list[str]]) -> str:
    about = versions()
    return "\n".join(
        [
            f"# Where the time of a step goes: {device}\n",
            f"condensery {about['condensery']} at {about['commit'][:12]}, PyTorch {about['torch']}. Self "
            "time of the profiler's operators, compiled as the library does; profiling itself costs time, so "
            "that steps are longer here than in bench.md.\n",
            table.grid(["loop", "precision", "images per class", "step", *_kinds()], body),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(console.run(main))
