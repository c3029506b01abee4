"""The command `condensery embedding`, in a checkout."""

from condensery import console
from condensery.commands import embedding

if __name__ == "__main__":
    raise SystemExit(console.run(embedding.main))
