"""The demo's chapter on write-back, by itself: what it tells has happened; without servers it says that it needs one."""

from __future__ import annotations

import io

import pytest

from regionkit.demo.narration import Narrator
from regionkit.demo.settings import tell_write_back


@pytest.mark.redis
def test_the_chapter_tells_what_happened() -> None:
    """The flusher was killed before it committed, the server came back empty, and each row has the last value."""
    told = io.StringIO()
    say = Narrator(told)
    assert tell_write_back(say, real=True) == {
        "settings_put": 600,
        "settings_rows_after_kill": 0,
        "settings_flusher": -9,
        "settings_lost": 0,
    }
    assert len(say.steps) == 3
    assert [line for line in told.getvalue().splitlines() if len(line) > 80] == []
    assert "200 of 200 users have a row" in told.getvalue()


def test_without_servers_it_says_what_it_needs() -> None:
    """And counts nothing."""
    told = io.StringIO()
    assert tell_write_back(Narrator(told), real=False)["settings_put"] == 0
    assert "needs" in told.getvalue()
    assert "--real" in told.getvalue()
