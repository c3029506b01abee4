"""The command `condensery cost`, in a checkout."""

from condensery import console
from condensery.commands import cost

if __name__ == "__main__":
    raise SystemExit(console.run(cost.main))
