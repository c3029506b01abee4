"""The command `condensery evaluate`, in a checkout."""

from condensery import console
from condensery.commands import evaluate

if __name__ == "__main__":
    raise SystemExit(console.run(evaluate.main))
