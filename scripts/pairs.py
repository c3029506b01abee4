"""The command `condensery pairs`, in a checkout."""

from condensery import console
from condensery.commands import pairs

if __name__ == "__main__":
    raise SystemExit(console.run(pairs.main))
