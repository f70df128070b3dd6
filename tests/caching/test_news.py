# Generated from test_news_async.py by scripts/twins.py. Do not edit.
"""What a cache does with news: keys and tags go, and whether news come is for the ear to say."""

from __future__ import annotations

from typing import Any

from regionkit.caching.counters import Counters
from regionkit.caching.events import BusLost, BusRegained
from regionkit.caching.flights import Flights
from regionkit.caching.local_table import Entry, LocalTable
from regionkit.caching.news import News


class Rig:
    """A cache's listener, without a cache."""

    def __init__(self, *, has_local: bool = True) -> None:
        self.table, self.flights, self.counters = LocalTable(10, 1 << 20), Flights(), Counters()
        self.table.open = False
        self.events: list[Any] = []
        self.news = News("n", self.table, self.flights, self.counters, self.events.append, has_local=has_local)

    def put(self, key: str, *, stamp: int = 0, tags: tuple[bytes, ...] = ()) -> bool:
        """An entry of a load; whether it was taken."""
        entry = Entry(key, key)
        entry.stamp, entry.tags = stamp, tags
        return self.table.put(entry, self.table.mark(key, key.encode()))


def test_the_table_takes_entries_while_news_come() -> None:
    """Who finds another generation drops what is held, and says nothing of the news."""
    rig = Rig()
    rig.news.lost(live=None)
    assert not rig.put("a")
    rig.news.lost(live=True)
    assert rig.put("a")
    rig.news.lost(live=None)
    assert len(rig.table) == 0
    assert rig.put("a")
    rig.news.lost(live=False)
    rig.news.lost(live=None)
    assert not rig.put("a")
    rig.news.lost(live=False)
    rig.news.lost(live=True)
    assert [type(event) for event in rig.events] == [BusRegained, BusLost, BusRegained]
    assert rig.counters.bus_losses == 1
    without = Rig(has_local=False)
    without.news.lost(live=True)
    assert not without.put("a")


def test_a_key_goes_and_who_comes_later_loads_anew() -> None:
    """But for an entry that is newer than what was told; an ended one lets a load in that is under way."""
    rig = Rig()
    rig.news.lost(live=True)
    rig.put("a", stamp=5)
    flight, _ = rig.flights.board("a", None)
    rig.news.invalidated(b"a", 5)
    assert "a" in rig.table.entries
    rig.news.invalidated(b"a", 6)
    assert "a" not in rig.table.entries
    assert rig.flights.board("a", None) != (flight, False)
    rig.put("b")
    mark = rig.table.mark("b", b"b")
    rig.news.expired(b"b")
    assert "b" not in rig.table.entries
    assert not mark.spoiled


def test_a_tag_takes_its_entries_and_every_flight() -> None:
    """What flies may carry it."""
    rig = Rig()
    rig.news.lost(live=True)
    rig.put("a", tags=(b"t",))
    rig.put("b")
    flight, _ = rig.flights.board("c", None)
    rig.news.tag_invalidated(b"t")
    assert set(rig.table.entries) == {"b"}
    assert rig.flights.board("c", None)[0] is not flight


def test_a_child_hears_nothing_yet() -> None:
    """After a fork: that news come is news again, and that none come is not."""
    rig = Rig()
    rig.news.lost(live=True)
    rig.news.renew()
    rig.news.lost(live=False)
    rig.news.lost(live=True)
    assert [type(event) for event in rig.events] == [BusRegained, BusRegained]
