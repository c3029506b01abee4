"""The command `condensery pretrain`, in a checkout."""

from condensery import console
from condensery.commands import pretrain

if __name__ == "__main__":
    raise SystemExit(console.run(pretrain.main))
