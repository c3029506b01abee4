"""The command `condensery relabel`, in a checkout."""

from condensery import console
from condensery.commands import relabel

if __name__ == "__main__":
    raise SystemExit(console.run(relabel.main))
