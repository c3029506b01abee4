r"""Show what a set, row file or table is, the settings that it was made with, and its numbers.

For rows and tables: mean, population deviation, number of sets and networks, and the published value.

Example:
    condensery show results/smoke/synthetic/digits/dm/convnet/ipc10/seed0.safetensors \
        results/laptop/tables/table1.csv
"""

from __future__ import annotations

from pathlib import Path

from condensery import console
from condensery.reporting.description import describe


def main() -> None:
    """Describe every file.

    Raises:
        CondenseryError: a file is missing, damaged or of an unknown kind.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a set, a generator, features or a pool (.safetensors), rows (.parquet), a table (.csv)",
    )
    console.add_config_argument(parser)
    arguments = parser.parse_args()
    folder = arguments.config / "published"
    published = folder if folder.is_dir() else None
    print("\n\n".join(describe(path, published) for path in arguments.files))
