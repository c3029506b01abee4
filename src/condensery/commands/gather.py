"""Join the parts of a synthetic set, condensed class by class in separate jobs, into one file.

Example:
  python scripts/gather.py part0.safetensors part1.safetensors --out set.safetensors
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.gathering import gather
from condensery.synthetic import SyntheticSet


def main() -> None:
    """Join the parts, and write the complete set.

    Raises:
        CondenseryError: a part cannot be read, or the parts do not make one complete set.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "parts", nargs="+", type=Path, metavar="PART", help="parts of one experiment, in any order"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="the complete set (.safetensors)"
    )
    arguments = parser.parse_args()
    gather([SyntheticSet.load(path) for path in arguments.parts]).save(arguments.out)
