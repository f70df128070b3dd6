"""The demo's chapter on caching, by itself: what it tells has happened, and it needs no server and little time."""

from __future__ import annotations

import io
import os
import time

from regionkit.demo.caching import tell_caching
from regionkit.demo.narration import Narrator


def test_the_chapter_tells_what_happened() -> None:
    """One load for all, the late load refused, the last value served while the database is away, none after an invalidation."""
    told = io.StringIO()
    say = Narrator(told)
    began = time.monotonic()
    figures = tell_caching(say)
    busy = max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))
    assert time.monotonic() - began < 2.0 * busy
    assert figures == {
        "cache_callers": 50,
        "cache_loads": 1,
        "cache_late_loads_refused": 1,
        "cache_stale": 0,
        "cache_served_on_error": 50,
        "cache_tries_on_error": 1,
        "cache_error_after_invalidation": "ConnectionError",
    }
    assert len(say.steps) == 4 and all(step["call"] for step in say.steps)
    assert [line for line in told.getvalue().splitlines() if len(line) > 80] == []
    assert "It is not stored: the next get says 2." in told.getvalue()
