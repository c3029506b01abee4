"""The command `condensery trajectory`, in a checkout."""

from condensery import console
from condensery.commands import trajectory

if __name__ == "__main__":
    raise SystemExit(console.run(trajectory.main))
