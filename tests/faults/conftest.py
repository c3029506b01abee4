"""The jobs that the tests of faults share, and the counts that these tests print at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.faults.workshop import Workshop

_COUNTED = "counted: "


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Iterator[Counter[str]]:
    """Yield the counter of a test: kind of case and its outcome -> number of cases."""
    counted: Counter[str] = Counter()
    yield counted
    for name, number in counted.items():
        record_property(_COUNTED + name, number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted: Counter[str] = Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        if getattr(report, "when", "") == "teardown":
            for name, number in report.user_properties:
                if name.startswith(_COUNTED):
                    counted[name.removeprefix(_COUNTED)] += number
    if counted:
        terminalreporter.section("faults")
        for name, number in sorted(counted.items()):
            terminalreporter.write_line(f"{number:6} {name}")
