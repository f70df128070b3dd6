"""Which statements end a transaction: told in time that grows with the text, not with its comments."""

from __future__ import annotations

import time

import pytest

from regionkit.backends.sql.enlist_server import _ENDS, _ENDS_MARIADB


@pytest.mark.parametrize(
    "text", ["COMMIT", " /* a */ ; commit work", "-- a\nROLLBACK", "/* * / ** */ PREPARE TRANSACTION 'x'"]
)
def test_an_end_is_seen_behind_comments(text: str) -> None:
    assert _ENDS.match(text)


@pytest.mark.parametrize(
    "text", ["SELECT 1", "/* COMMIT */ SELECT 1", "-- COMMIT\nSELECT 1", "ROLLBACK TO a", "/* COMMIT"]
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    assert not _ENDS.match(text)


@pytest.mark.parametrize("pattern", [_ENDS, _ENDS_MARIADB])
def test_many_comments_cost_no_more_than_their_letters(pattern: object) -> None:
    text = "/* a */ " * 20_000 + "SELECT 1"
    began = time.monotonic()
    assert not pattern.match(text)  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5, "22 comments took a second when each could be skipped in two ways"
