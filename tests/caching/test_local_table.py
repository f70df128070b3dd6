"""The local tier's table: bounded, quick to forget, and never taking what came too late."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections import OrderedDict
from random import Random
from typing import Any

import pytest

from regionkit.caching.local_table import OVERHEAD, Entry, LocalTable

HUGE = 1 << 40


def put(
    table: LocalTable, key: str, *, size: int = OVERHEAD, tags: tuple[bytes, ...] = (), stamp: int = 0
) -> Entry | None:
    """An entry; None when it is not taken."""
    mark = table.mark(key, key.encode())
    entry = Entry(key, key)
    entry.size, entry.tags, entry.stamp = size, tags, stamp
    return entry if table.put(entry, mark) else None


def read(table: LocalTable, key: str) -> Entry | None:
    """As a cache reads it."""
    entry = table.get(key)
    if entry is not None:
        entry.hits += 1
    return entry


def test_entries_are_bounded_by_items_and_by_bytes() -> None:
    """Whatever is put in, and in whatever order it goes."""
    chance = Random(1)
    table = LocalTable(100, 100 * OVERHEAD)
    for number in range(5_000):
        put(
            table,
            f"k{chance.randrange(400)}",
            size=OVERHEAD + chance.randrange(3) * OVERHEAD,
            tags=(b"t%d" % (number % 7),),
        )
        read(table, f"k{chance.randrange(400)}")
        if number % 50 == 0:
            table.invalidate(f"k{chance.randrange(400)}")
            table.invalidate_tag(b"t%d" % chance.randrange(7))
        assert len(table) <= 100
        assert table.bytes <= 100 * OVERHEAD
        assert table.bytes == sum(entry.size for entry in table.entries.values())
    assert len(table._small) + len(table._main) <= 2 * len(table) + 64
    assert len(table._ghosts) <= 100
    assert len(table._names) <= len(table) + len(table._marks)
    assert {key for keys in table._by_tag.values() for key in keys} == set(table.entries)
    assert not table._marks


def test_a_value_of_a_quarter_of_the_room_is_not_taken() -> None:
    """It would drive out what many ask for; what stood there before is not shown any more either."""
    table = LocalTable(100, 100 * OVERHEAD)
    assert put(table, "a")
    assert put(table, "a", size=26 * OVERHEAD) is None
    assert len(table) == 1
    assert put(table, "b", size=25 * OVERHEAD)


def test_the_hit_rate_on_zipf_is_eight_points_above_lru() -> None:
    """10,000 keys, room for 1 % of them."""
    keys, room, chance = 10_000, 100, Random(7)
    table = LocalTable(room, HUGE)
    lru: OrderedDict[int, None] = OrderedDict()
    weights = list(itertools.accumulate(1 / rank for rank in range(1, keys + 1)))
    hits = lru_hits = 0
    for number in range(150_000):
        key = bisect.bisect(weights, chance.random() * weights[-1])
        counted = number >= 30_000
        if read(table, f"k{key}") is None:
            put(table, f"k{key}")
        else:
            hits += counted
        if key in lru:
            lru_hits += counted
            lru.move_to_end(key)
        else:
            lru[key] = None
            if len(lru) > room:
                lru.popitem(last=False)
    points = 100 * (hits - lru_hits) / 120_000
    print(f"S3-FIFO {hits / 1200:.1f} %, LRU {lru_hits / 1200:.1f} %")
    assert points >= 8.0


def test_a_scan_does_not_drive_out_what_is_read() -> None:
    """What is asked for once leaves by the small queue."""
    table = LocalTable(100, HUGE)
    hot = [f"hot{number}" for number in range(50)]
    for _ in range(3):
        for key in hot:
            read(table, key) or put(table, key)
    for number in range(10_000):
        put(table, f"once{number}")
        if number % 20 == 0:
            for key in hot:
                read(table, key)
    assert sum(key in table.entries for key in hot) == 50


def test_what_was_invalidated_on_its_way_is_not_put_in() -> None:
    """By key, by digest, by tag (its tags are not known yet), with all."""
    for spoil in (
        lambda table: table.invalidate("a"),
        lambda table: table.invalidate_digest(b"a", 5),
        lambda table: table.invalidate_tag(b"any"),
        lambda table: table.drop_all(),
        lambda table: table.renew(),
    ):
        table = LocalTable(10, HUGE)
        mark, other = table.mark("a", b"a"), table.mark("a", b"a")
        spoil(table)
        assert not table.put(Entry("a", 1), mark)
        assert not table.put(Entry("a", 1), other)
        assert table.get("a") is None
        assert put(table, "a"), "what comes later is taken"
        assert not table._marks


def test_news_of_a_digest_leave_what_is_not_older() -> None:
    """Of the write itself, and of what came after it."""
    table = LocalTable(10, HUGE)
    for stamp, news, stays in ((5, 4, True), (5, 5, True), (5, 6, False), (5, 0, False), (0, 1, False)):
        put(table, "a", stamp=stamp)
        assert table.invalidate_digest(b"a", news) == "a"
        assert ("a" in table.entries) is stays, (stamp, news)
        table.invalidate("a")
    assert table.invalidate_digest(b"a", 1) is None, "a key that is not here has no name here"


def test_a_tag_takes_out_what_carries_it() -> None:
    """And nothing else; an entry that was replaced carries its new tags."""
    table = LocalTable(10, HUGE)
    put(table, "a", tags=(b"x", b"y"))
    put(table, "b", tags=(b"y",))
    put(table, "a", tags=(b"z",))
    table.invalidate_tag(b"x")
    assert set(table.entries) == {"a", "b"}
    table.invalidate_tag(b"y")
    assert set(table.entries) == {"a"}
    table.invalidate_tag(b"z")
    assert not table.entries and not table._by_tag and table.bytes == 0


def test_news_of_what_is_on_its_way_are_compared_with_its_stamp() -> None:
    """Its own news may come before its answer does; later ones refuse it."""
    table = LocalTable(10, HUGE)
    for stamp, taken in ((4, False), (5, True), (6, True), (0, False)):
        mark = table.mark("a", b"a")
        assert table.invalidate_digest(b"a", 5) == "a"
        assert table.invalidate_digest(b"a", 3) == "a"
        entry = Entry("a", 1)
        entry.stamp = stamp
        assert table.put(entry, mark) is taken
        table.invalidate("a")
    assert not table._marks and not table._names


def test_a_table_that_is_closed_takes_nothing() -> None:
    """While no news come; hits are still counted afterwards."""
    table = LocalTable(10, HUGE)
    put(table, "a")
    read(table, "a")
    table.drop_all(open=False)
    assert put(table, "a") is None
    assert table.hits == 1
    table.drop_all()
    assert put(table, "a") is None
    table.drop_all(open=True)
    assert put(table, "a")
    table.drop_all()
    assert put(table, "a")


def test_whoever_looks_up_is_told_where() -> None:
    """At the beginning, and whenever the dict is another."""
    told: list[Any] = []
    table = LocalTable(10, HUGE, told.append)
    put(table, "a")
    assert "a" in told[-1]
    table.drop_all()
    assert len(told) == 2
    assert "a" not in told[-1]


def test_threads_that_hammer_leave_a_table_that_adds_up() -> None:
    """And never show a value that was invalidated before the read began."""
    table = LocalTable(50, 60 * OVERHEAD)
    newest = dict.fromkeys((f"k{number}" for number in range(80)), 0)
    locks = {key: threading.Lock() for key in newest}
    errors: list[str] = []
    rounds = itertools.count()

    def work(seed: int) -> None:
        chance = Random(seed)
        for _ in range(2_500):
            next(rounds)
            key = f"k{chance.randrange(80)}"
            what = chance.random()
            if what < 0.15:
                with locks[key]:
                    newest[key] += 1
                    table.invalidate(key)
            elif what < 0.6:
                mark = table.mark(key, key.encode())
                entry = Entry(key, newest[key])
                entry.tags = (b"t%d" % chance.randrange(3),)
                table.put(entry, mark)
            elif what < 0.62:
                table.invalidate_tag(b"t%d" % chance.randrange(3))
            else:
                before = newest[key]
                found = table.get(key)
                if found is not None and found.value < before - 1:  # one may be under way in another thread
                    errors.append(f"{key}: {found.value} where {before} was told")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(table) <= 50
    assert table.bytes == sum(entry.size for entry in table.entries.values())
    assert not table._marks
    assert all(table.entries[key].value == newest[key] for key in table.entries)


def test_a_mark_that_is_given_back_leaves_nothing() -> None:
    """Twice is no error; names of keys that are not here go."""
    table = LocalTable(10, HUGE)
    marks = [table.mark(f"k{number}", b"%d" % number) for number in range(100)]
    for mark in marks:
        table.unmark(mark)
        table.unmark(mark)
    assert not table._marks and not table._names
    with pytest.raises(KeyError):
        table._names[b"1"]
