"""The command `condensery plan`, in a checkout."""

from condensery import console
from condensery.commands import plan

if __name__ == "__main__":
    raise SystemExit(console.run(plan.main))
