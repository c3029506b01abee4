"""The command `condensery pool`, in a checkout."""

from condensery import console
from condensery.commands import pool

if __name__ == "__main__":
    raise SystemExit(console.run(pool.main))
