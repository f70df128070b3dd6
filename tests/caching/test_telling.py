# Generated from test_telling_async.py by scripts/twins.py. Do not edit.
"""What the tier could not be told is told until it answers: all of it, in order, whatever comes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regionkit.caching.counters import Counters
from regionkit.caching.events import ToldLate
from regionkit.caching.flights import Flights
from regionkit.caching.local_table import LocalTable
from regionkit.caching.steps import BATCH, TierDown
from regionkit.caching.telling import Teller
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.errors import CacheError


class Tier:
    """Does not answer while it is down; `meanwhile` happens once, while it answers."""

    def __init__(self) -> None:
        self.down = True
        self.told: list[Any] = []
        self.meanwhile: Callable[[], None] | None = None

    def _took(self, what: Any) -> None:
        if self.down:
            raise TierDown("away")
        self.told.append(what)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()

    def invalidate(self, keys: Any, version: str, id: bytes = b"") -> None:
        """Of a tier."""
        self._took(tuple(keys))

    def invalidate_tag(self, tag: bytes, version: str, id: bytes = b"") -> bool:
        """Of a tier."""
        self._took(tag)
        return True

    def clear(self, version: str, id: bytes = b"") -> None:
        """Of a tier."""
        self._took("clear")


class Rig:
    """A teller whose job is run by the test."""

    def __init__(self) -> None:
        self.tier: Any = Tier()
        self.events: list[Any] = []
        table, flights = LocalTable(10, 1 << 20), Flights()
        self.teller = Teller("t", table, flights, self.tier, Counters(), self.events.append, SYSTEM_CLOCK)
        self.teller._supervisor.start = lambda *_, **__: None  # type: ignore[method-assign]


def test_what_was_not_told_is_told_in_order() -> None:
    """Keys a batch at a time, tags, and all."""
    rig = Rig()
    keys = [f"k{number}" for number in range(BATCH + 5)]
    for call in (
        lambda: rig.teller.invalidate(keys, "1"),
        lambda: rig.teller.invalidate_tag(b"tag", "2"),
        lambda: rig.teller.clear("3"),
    ):
        with pytest.raises(CacheError, match="could not inform") as raised:
            call()
        assert raised.value.retryable
    assert rig.teller.waiting == 3
    with pytest.raises(TierDown):
        rig.teller._again()
    assert rig.teller.waiting == 3
    rig.tier.down = False
    rig.teller._again()
    assert rig.tier.told == [tuple(keys[:BATCH]), tuple(keys[BATCH:]), b"tag", "clear"]
    assert [event.waiting for event in rig.events if isinstance(event, ToldLate)] == [2, 1, 0]
    assert rig.teller.waiting == 0


@pytest.mark.parametrize("keys", [1, BATCH + 5])
def test_a_clear_that_comes_while_the_oldest_is_told_is_told_too(monkeypatch: pytest.MonkeyPatch, keys: int) -> None:
    """It stands in the place of all that waited, also of the one that is under way."""
    monkeypatch.setitem(Teller.tell_later.__globals__, "MOST_LATER", 3)
    rig = Rig()
    rig.teller.tell_later("keys", tuple(f"k{number}" for number in range(keys)), "1")
    rig.teller.tell_later("tag", b"tag", "1")
    rig.teller.tell_later("tag", b"other", "1")
    rig.tier.down = False
    rig.tier.meanwhile = lambda: rig.teller.tell_later("tag", b"one too many", "1")
    rig.teller._again()
    assert rig.tier.told[1:] == ["clear"]
    assert rig.teller.waiting == 0
