"""The command `condensery figure`, in a checkout."""

from condensery import console
from condensery.commands import figure

if __name__ == "__main__":
    raise SystemExit(console.run(figure.main))
