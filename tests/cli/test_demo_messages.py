"""The demo's chapter on messages, by itself: what it tells has happened; it needs no server and little time."""

from __future__ import annotations

import io
import os
import time

import pytest

from regionkit.demo.messages import tell_messages
from regionkit.demo.narration import Narrator


def test_the_chapter_tells_what_happened(capfd: pytest.CaptureFixture[str]) -> None:
    """Published twice, killed in the middle, charged once and in order; the poison order is mended; the worker says nothing."""
    told = io.StringIO()
    say = Narrator(told)
    began = time.monotonic()
    figures = tell_messages(say)
    busy = max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - began < 6.0 * busy
    assert figures.pop("copies") >= 12
    assert figures == {
        "orders": 12,
        "messages": 24,
        "charged_before_kill": 4,
        "half_charged": 0,
        "parked": 1,
        "held": 1,
        "charged_once": 12,
        "charged_twice": 0,
        "charged_in_order": True,
    }
    assert len(say.steps) == 6 and all(step["call"] for step in say.steps)
    assert [line for line in told.getvalue().splitlines() if len(line) > 80] == []
    assert "12 of 12 orders are charged once, in the order of" in told.getvalue()
    assert capfd.readouterr() == ("", "")
