"""The command `condensery table`, in a checkout."""

from condensery import console
from condensery.commands import table

if __name__ == "__main__":
    raise SystemExit(console.run(table.main))
