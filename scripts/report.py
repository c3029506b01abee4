"""The command `condensery report`, in a checkout."""

from condensery import console
from condensery.commands import report

if __name__ == "__main__":
    raise SystemExit(console.run(report.main))
