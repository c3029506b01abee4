"""The command `condensery search`, in a checkout."""

from condensery import console
from condensery.commands import search

if __name__ == "__main__":
    raise SystemExit(console.run(search.main))
