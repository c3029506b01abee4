"""The command `condensery export-set`, in a checkout."""

from condensery import console
from condensery.commands import export_set

if __name__ == "__main__":
    raise SystemExit(console.run(export_set.main))
