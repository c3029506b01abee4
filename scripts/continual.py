"""The command `condensery continual`, in a checkout."""

from condensery import console
from condensery.commands import continual

if __name__ == "__main__":
    raise SystemExit(console.run(continual.main))
