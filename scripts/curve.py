"""The command `condensery curve`, in a checkout."""

from condensery import console
from condensery.commands import curve

if __name__ == "__main__":
    raise SystemExit(console.run(curve.main))
