"""Turn a synthetic set from elsewhere into a file that scripts/evaluate.py reads.

Reads a .pt in the layout of the authors' public code (safely: no code in it is run), a .npz or a folder of
PNG images as scripts/export_set.py writes them. The set is checked against its data set.

Example:
  python scripts/import_set.py res_DM_CIFAR10_ConvNet_10ipc.pt --data cifar10 --out published.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from condensery import console, data, exchange
from condensery.errors import CondenseryError
from condensery.synthetic import SyntheticSet


def main() -> None:
    """Parse, import, check, write."""
    parser = console.parser(__doc__)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="the .pt, the .npz or the folder of class folders"
    )
    parser.add_argument("--data", required=True, metavar="NAME", help="the data set of the images")
    parser.add_argument(
        "--prepared",
        type=Path,
        metavar="DIR",
        help="the prepared data; default: data/prepared/NAME",
    )
    parser.add_argument(
        "--format", choices=("png", "pt", "npz"), help="format of FILE; default: by its name; a folder is png"
    )
    parser.add_argument(
        "--experiment",
        type=console.whole_number("--experiment", 0, 10**6),
        default=0,
        metavar="K",
        help="which experiment of a .pt; default: %(default)s",
    )
    parser.add_argument(
        "--mean",
        type=float,
        nargs="+",
        metavar="X",
        help="with --std: the normalization of the images of a .pt, if it differs from NAME's",
    )
    parser.add_argument("--std", type=float, nargs="+", metavar="X", help="see --mean")
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="the method that made the set, for tables; sets with one name are sets of one method. "
        "Without it a table pools only sets of one file",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the set (.safetensors)")
    arguments = parser.parse_args()
    info = data.load(arguments.prepared or Path("data/prepared") / arguments.data).info
    synthetic = read(arguments, info)
    if arguments.name is not None:
        synthetic.provenance = {**synthetic.provenance, **named(arguments.name, synthetic.provenance)}
    synthetic.save(arguments.out)


def named(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that a name adds to the provenance of an imported set.

    Raises:
        CondenseryError: the name is empty, or the provenance already names the method.
    """
    known = provenance.get("experiment", {}).get("method")
    if known:
        raise CondenseryError(f"--name {name}: the set's provenance names the method {known}: omit --name")
    if not name.strip() or not name.isprintable():
        raise CondenseryError(f"--name {name!r} is empty or has line breaks: give the name of a method")
    return {"experiment": {"method": name.strip()}, "imported": provenance.get("imported", {})}


def read(arguments: argparse.Namespace, info: data.DataInfo) -> SyntheticSet:
    """Read the set in the format of --format, or of the file's name."""
    kind = arguments.format or (
        "png" if arguments.file.is_dir() else arguments.file.suffix.lstrip(".").lower()
    )
    if (arguments.mean is None) != (arguments.std is None):
        raise CondenseryError("--mean and --std belong together; give both or neither")
    if kind == "pt":
        normalization = None if arguments.mean is None else (arguments.mean, arguments.std)
        return exchange.from_reference_pt(arguments.file, info, arguments.experiment, normalization)
    if arguments.experiment or arguments.mean is not None:
        raise CondenseryError("--experiment, --mean and --std are for a .pt file; omit them")
    if kind == "npz":
        synthetic = exchange.from_npz(arguments.file)
        synthetic.check_against(info)
        return synthetic
    if kind == "png":
        return exchange.from_png_folders(arguments.file, info)
    raise CondenseryError(f"{arguments.file}: of unknown format; add --format pt, npz or png")
