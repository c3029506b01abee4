"""The command `condensery reproduction`, in a checkout."""

from condensery import console
from condensery.commands import reproduction

if __name__ == "__main__":
    raise SystemExit(console.run(reproduction.main))
