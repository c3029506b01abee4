"""The command `condensery import-set`, in a checkout."""

from condensery import console
from condensery.commands import import_set

if __name__ == "__main__":
    raise SystemExit(console.run(import_set.main))
