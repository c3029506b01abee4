"""The command `condensery score`, in a checkout."""

from condensery import console
from condensery.commands import score

if __name__ == "__main__":
    raise SystemExit(console.run(score.main))
