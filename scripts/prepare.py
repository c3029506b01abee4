"""Prepare a data set of config/datasets.yaml: from its source into memory-mapped arrays."""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from condensery import console, data
from condensery.errors import CondenseryError


def main() -> None:
    """Parse the command line and prepare, or verify, one data set."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A run that was stopped is continued by running it again. A prepared folder is left alone.",
    )
    parser.add_argument("--data", required=True, help="name of the data set in config/datasets.yaml")
    parser.add_argument("--config", type=Path, default=Path("config"), help="configuration folder (config)")
    parser.add_argument(
        "--raw", type=Path, default=Path("data/raw"), help="where local copies lie (data/raw)"
    )
    parser.add_argument("--out", type=Path, help="folder to make (data/prepared/<data set>)")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="check every byte of the prepared folder against its checksums instead",
    )
    given = parser.parse_args()
    out = given.out or Path("data/prepared") / given.data
    if given.verify:
        data.verify(out)
        return
    path = given.config / "datasets.yaml"
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise CondenseryError(f"{path}: not valid YAML ({error})") from None
    if given.data not in entries:
        raise CondenseryError(f"{path}: no data set {given.data!r}; there are {', '.join(entries)}")
    data.prepare(given.data, entries[given.data], given.raw, out)


if __name__ == "__main__":
    raise SystemExit(console.run(main))
