"""Write the golden values of the methods named on the command line, or of all; CONTRIBUTING.md says when."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from condensery import methods
from tests.golden import FILE, digits, golden, read, trained

values = read() if sys.argv[1:] else {}
with tempfile.TemporaryDirectory() as folder:
    real = digits(Path(folder))
    files = trained(Path(folder), real)
    for name in sys.argv[1:] or methods.names():
        values[name] = golden(name, real, files)
lines = (f"  {json.dumps(name)}: {json.dumps(values[name])}" for name in sorted(values))
FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
