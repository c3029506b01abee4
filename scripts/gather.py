"""The command `condensery gather`, in a checkout."""

from condensery import console
from condensery.commands import gather

if __name__ == "__main__":
    raise SystemExit(console.run(gather.main))
