"""The command `condensery condense`, in a checkout."""

from condensery import console
from condensery.commands import condense

if __name__ == "__main__":
    raise SystemExit(console.run(condense.main))
