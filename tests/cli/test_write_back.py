"""`regionkit write-back`: keys as they are printed name the same keys."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from regionkit.cli.write_back import _key

UUIDS = UUID(int=7)


@pytest.mark.parametrize(
    "key", ["a", "42", "it's", 42, -7, b"\x00a", UUIDS, (UUIDS, 1), ("eu", "42", b"x"), ((1, UUIDS),)]
)
def test_a_key_that_was_printed_is_that_key(key: Any) -> None:
    """Of each type, and in tuples."""
    assert _key(repr(key)) == key
    assert type(_key(repr(key))) is type(key)


@pytest.mark.parametrize("text", ["ada", "UUID(", "UUID()", "UUID(5)", "UUID('no')", "True", "1.5", "f(1)", "(a, 1)"])
def test_what_is_no_literal_is_the_text(text: str) -> None:
    """As it was typed."""
    assert _key(text) == text
