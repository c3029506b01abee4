"""The command `condensery experts`, in a checkout."""

from condensery import console
from condensery.commands import experts

if __name__ == "__main__":
    raise SystemExit(console.run(experts.main))
