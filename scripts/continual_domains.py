"""The command `condensery continual-domains`, in a checkout."""

from condensery import console
from condensery.commands import continual_domains

if __name__ == "__main__":
    raise SystemExit(console.run(continual_domains.main))
