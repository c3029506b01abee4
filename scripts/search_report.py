"""The command `condensery search-report`, in a checkout."""

from condensery import console
from condensery.commands import search_report

if __name__ == "__main__":
    raise SystemExit(console.run(search_report.main))
