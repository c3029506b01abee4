"""The command `condensery train-generator`, in a checkout."""

from condensery import console
from condensery.commands import train_generator

if __name__ == "__main__":
    raise SystemExit(console.run(train_generator.main))
