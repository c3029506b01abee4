"""Settings of all tests: one thread each, no display, reproducible examples, immediate names of failures."""

from __future__ import annotations

import os

# Tests run in parallel, one process per core. Set before PyTorch is imported, and inherited by the scripts
# that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

# A busy machine draws slowly.
settings.register_profile(
    "condensery",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=30,
    derandomize=True,
)
settings.load_profile("condensery")


class Failures:
    """Prints the name of a failing test immediately; its traceback follows when all tests have run."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = crash.message.splitlines()[0] if crash and crash.message else ""
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when}): {reason}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Report failures in the one process that has the terminal; worker processes have none."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal:
        config.pluginmanager.register(Failures(terminal), "failures")
