"""Write a synthetic set in another format.

  png       one folder per class of 8-bit images in [0, 1] space, and a set.json with everything else
  pt        what the authors' public code reads: normalized images and labels, one entry an experiment
  parquet   8-bit images and labels, as the library `datasets` of Hugging Face reads them
  npz       a NumPy archive: normalized images, labels, classes, mean, std, provenance

Where stored images hold several each, png has the stored ones and the other formats those to train on.

Example:
  python scripts/export_set.py seed0.safetensors --format png --out images/
  python scripts/export_set.py seed*.safetensors --format pt --out res_DM_CIFAR10_ConvNet_10ipc.pt
"""

from __future__ import annotations

from pathlib import Path

from condensery import console, exchange
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet


def main() -> None:
    """Load the sets, and write them in the other format.

    Raises:
        CondenseryError: the options do not suit the format, a set cannot be read, or the format cannot hold
            it.
    """
    parser = console.parser(__doc__)
    parser.add_argument(
        "sets", nargs="+", type=Path, metavar="SET", help="synthetic sets (.safetensors); several for pt only"
    )
    parser.add_argument(
        "--format", required=True, choices=("png", "pt", "npz", "parquet"), help="what to write"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="PATH", help="the file, or for png a new folder"
    )
    parser.add_argument(
        "--stored",
        action="store_true",
        help="npz and parquet: the stored images, even where they hold several each, with their formation",
    )
    arguments = parser.parse_args()
    if arguments.stored and arguments.format == "pt":
        raise CondenseryError("--stored: a .pt has no place for the formation; use --format npz")
    if arguments.format != "pt" and len(arguments.sets) > 1:
        raise CondenseryError(
            f"{arguments.format} holds one set, got {len(arguments.sets)}; export them one by one"
        )
    sets = [SyntheticSet.load(path) for path in arguments.sets]
    if arguments.format != "png" and not arguments.stored:
        sets = [each.decoded() for each in sets]
    if arguments.format == "png":
        exchange.to_png_folders(sets[0], arguments.out)
    elif arguments.format == "parquet":
        exchange.to_parquet(sets[0], arguments.out)
    elif arguments.format == "npz":
        exchange.to_npz(sets[0], arguments.out)
    else:
        exchange.to_reference_pt(sets, arguments.out)
