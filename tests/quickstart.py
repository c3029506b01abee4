"""Check the claim of the quickstart: networks learn more from condensed images than from as many random ones.

Example:
    make quickstart && python tests/quickstart.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from condensery.reporting.tables import read_cells

TABLE = Path(__file__).resolve().parents[1] / "results/quickstart/tables/table1.csv"
GAINS = {1: 10.0, 10: 1.5}
"""Images per class -> required gain in percentage points: half of the measured gain."""


def main() -> None:
    """Compare DM and DSA with random images.

    Raises:
        SystemExit: a method gains too little.
    """
    mean = read_cells(TABLE).set_index(["method", "ipc"])["mean"]
    for ipc, gain in GAINS.items():
        for method in ("dm", "dsa"):
            gained = mean[method, ipc] - mean["random", ipc]
            print(f"{method:4} ipc {ipc:2}: {gained:+.1f} points over random images; wanted: {gain:g}")
            if not gained > gain:
                sys.exit(f"error: {TABLE}: {method} with {ipc} images per class gains too little")


if __name__ == "__main__":
    main()
