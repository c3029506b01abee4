"""The command `condensery prepare`, in a checkout."""

from condensery import console
from condensery.commands import prepare

if __name__ == "__main__":
    raise SystemExit(console.run(prepare.main))
