"""Write the golden values of the methods named on the command line, or all; CONTRIBUTING.md says when."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from condensery import methods
from tests.golden import CORRUPTED, FILE, corrupted, digits, golden, read, trained


def lines(values: dict[str, Any]) -> str:
    """Return values as JSON, one entry per line."""
    entries = (f"  {json.dumps(name)}: {json.dumps(values[name])}" for name in sorted(values))
    return "{\n" + ",\n".join(entries) + "\n}\n"


values = read() if sys.argv[1:] else {}
with tempfile.TemporaryDirectory() as folder:
    real = digits(Path(folder))
    files = trained(Path(folder), real)
    for name in sys.argv[1:] or methods.names():
        values[name] = golden(name, real, files)
FILE.write_text(lines(values))
if not sys.argv[1:]:
    CORRUPTED.write_text(lines(corrupted()))
