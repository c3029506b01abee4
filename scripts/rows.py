"""The command `condensery rows`, in a checkout."""

from condensery import console
from condensery.commands import rows

if __name__ == "__main__":
    raise SystemExit(console.run(rows.main))
