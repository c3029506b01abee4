"""The command `condensery best`, in a checkout."""

from condensery import console
from condensery.commands import best

if __name__ == "__main__":
    raise SystemExit(console.run(best.main))
