"""Turn a synthetic set from elsewhere into a file that scripts/evaluate.py reads.

Reads what scripts/export_set.py writes, and the layouts that sets are published in: .pt of DC, DSA, DM, IDC,
IDM, MTT and DATM (safely: no code in it is run), .npz of KIP and FRePo, folders of images, Parquet. The set
is checked against its data set. Options state what a file itself does not; docs/synthetic-set.md lists what
each layout leaves open.

Example:
  python scripts/import_set.py res_DM_CIFAR10_ConvNet_10ipc.pt --data cifar10 --out published.safetensors
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from condensery import console, data, exchange
from condensery.errors import CondenseryError
from condensery.jobs.arguments import add_reading_arguments, reading_options


def main() -> None:
    """Read the set, check it against its data set, and write it.

    Raises:
        CondenseryError: the options do not belong together, or the set cannot be read, leaves something open
            that an option must state, or does not match the data set.
    """
    parser = console.parser(__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file, or the folder of class folders")
    parser.add_argument("--data", required=True, metavar="NAME", help="the data set of the images")
    parser.add_argument(
        "--prepared",
        type=Path,
        metavar="DIR",
        help="the prepared data; default: data/prepared/NAME",
    )
    add_reading_arguments(parser)
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="the method that made the set, for tables; sets with one name are sets of one method. "
        "Without it a table pools only sets of one file",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the set (.safetensors)")
    arguments = parser.parse_args()
    info = data.load(arguments.prepared or Path("data/prepared") / arguments.data).info
    synthetic = exchange.read(arguments.file, info, **reading_options(arguments))
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
