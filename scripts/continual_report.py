"""The command `condensery continual-report`, in a checkout."""

from condensery import console
from condensery.commands import continual_report

if __name__ == "__main__":
    raise SystemExit(console.run(continual_report.main))
