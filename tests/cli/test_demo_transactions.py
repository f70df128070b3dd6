"""The demo's chapter on transactions, by itself: what it tells has happened; it needs no server and little time."""

from __future__ import annotations

import io
import os
import time

import pytest

from regionkit.demo.narration import Narrator
from regionkit.demo.transactions import tell_transactions


def test_the_chapter_tells_what_happened(capfd: pytest.CaptureFixture[str]) -> None:
    """Half done after the kill, whole after recovery; what was not decided is nowhere; the killed ones say nothing."""
    told = io.StringIO()
    say = Narrator(told)
    began = time.monotonic()
    figures = tell_transactions(say)
    busy = max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - began < 6.0 * busy
    assert figures == {
        "killed_in_commit": 2,
        "half_done_after_kill": [3],
        "recovered_branches": 1,
        "left_undecided": 1,
        "in_doubt_at_the_end": 0,
        "transactions": 3,
        "half_done": 0,
        "whole_orders": [1, 3],
    }
    assert len(say.steps) == 4 and all(step["call"] for step in say.steps)
    lines = told.getvalue().splitlines()
    assert [line for line in lines if len(line) > 80] == []
    shown = [line.split(":")[1:] for line in lines if "orders in SQLite" in line]
    assert [(rows.split("  ")[0].strip(), files.strip()) for rows, files in shown] == [
        ("1", "1"),
        ("1, 3", "1"),
        ("1, 3", "1, 3"),
        ("1, 3", "1, 3"),
    ]
    assert capfd.readouterr() == ("", "")
