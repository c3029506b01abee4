"""The command `condensery search-test`, in a checkout."""

from condensery import console
from condensery.commands import search_test

if __name__ == "__main__":
    raise SystemExit(console.run(search_test.main))
