"""What passing tests print, at the end of the run: how many operations, faults and pairs stand behind them."""

from __future__ import annotations

import pytest

_PRINTED: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    ours = report.nodeid.startswith("tests/") and not report.nodeid.startswith("tests/docs/")
    if ours and report.when == "call" and report.passed and report.capstdout.strip():
        _PRINTED[report.nodeid] = report.capstdout.strip()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _PRINTED:
        terminalreporter.section("volumes")
    for test, text in sorted(_PRINTED.items()):
        terminalreporter.write_line(f"{test.removeprefix('tests/')}: {' '.join(text.split())}")
