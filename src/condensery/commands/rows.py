r"""Make an entry of the leaderboard from a score, or verify entries and print them as a table.

An entry is a folder with the set, the rows of its networks and of those that it is compared with, and digests
of both. Verifying computes every digest and figure anew. docs/leaderboard.md says how to add a method.

Examples:
    python scripts/rows.py --score scores/dm --set dm.safetensors \
        --reference https://arxiv.org/abs/2110.04181 --out leaderboard/dm-cifar10-ipc10
    python scripts/rows.py --verify leaderboard
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.errors import CondenseryError
from condensery.scoring import entries


def main() -> None:
    """Make an entry, or verify all entries of a folder; print them as a table.

    Raises:
        CondenseryError: the options do not belong together, the score is not one of the set, or an entry does
            not match its digests.
    """
    parser = console.parser(__doc__)
    parser.add_argument("--verify", type=Path, metavar="FOLDER", help="verify every entry below this folder")
    parser.add_argument("--score", type=Path, metavar="FOLDER", help="what `condensery score --out` wrote")
    parser.add_argument("--set", type=Path, metavar="FILE", help="the set that was scored (.safetensors)")
    parser.add_argument("--reference", metavar="ADDRESS", help="where the method is described")
    parser.add_argument(
        "--url", default="", metavar="ADDRESS", help="where the set is stored; default: it is copied"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the entry to make")
    args = parser.parse_args()
    making = (args.score, args.set, args.reference, args.out)
    if args.verify and not any(making):
        print(entries.table(entries.all_verified(args.verify)))
        return
    if args.verify or not all(making):
        raise CondenseryError("give --verify alone, or --score, --set, --reference and --out together")
    entry = entries.make(args.score, args.set, args.out, reference=args.reference, url=args.url)
    print(entries.table([entry]))
