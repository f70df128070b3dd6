# Generated from test_promise_async.py by scripts/twins.py. Do not edit.
"""What write-back promises, where it is hardest to hold: late values, lost answers, keys that look alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .test_write_back import Profile, Rig


@pytest.fixture
def rig(redis_server: Any, accounts: Any) -> Iterator[Rig]:
    """With a shared tier only."""
    with Rig(redis_server, accounts) as made:
        yield made


def nothing(keys: list[str]) -> dict[str, Any]:
    """Loads of several keys: none has a row."""
    return {}


def test_gets_of_many_keys_see_what_is_dirty(rig: Rig) -> None:
    """Also where they load together, and one of them is not dirty."""
    rig.cache.put("a", Profile("ada", 1))
    other = rig.another(load_many=nothing)
    assert other.get_many(["a", "b"]) == {"a": Profile("ada", 1)}
    other.close()


def test_a_value_that_the_row_has_left_behind_is_not_shown(rig: Rig) -> None:
    """The buffer has lost a later put, which a flusher had written: readers get the row."""
    first = rig.cache.put("a", Profile("old", 1))
    rig.set_row("a", "later", first.version + 1)
    assert (rig.cache.flush()).clean
    assert rig.cache.get("a") == Profile("later", 1)
