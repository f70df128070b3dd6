# Generated from test_back_faults_async.py by scripts/twins.py. Do not edit.
"""Faults around a write-back cache that may not spread: to other values, other caches, other runs of the flusher."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from regionkit.caching import Cache, Change, Shared, SinkRefused, SqlSink, WriteBack
from regionkit.caching.back.events import SinkFailed
from regionkit.core.concurrency import sleep
from regionkit.errors import ConfigurationError, DurabilityUnknown

from .test_write_back import Profile, Rig

PATIENCE = 20.0


class Older(msgspec.Struct):
    """What another version of the application has for a Profile."""

    colour: int


@pytest.fixture
def rig(redis_server: Any, accounts: Any) -> Iterator[Rig]:
    """With a shared tier only."""
    with Rig(redis_server, accounts) as made:
        yield made


def failing(rig: Rig, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[int]:
    """The sink raises at these what no sink should; how many changes each call had."""
    sink: Any = rig.cache.strategy.sink
    flush, sizes = sink.flush, list[int]()

    def flushed(cache: str, epoch: int, changes: Any) -> Any:
        sizes.append(len(changes))
        if any(change.value.name in names for change in changes):
            raise ZeroDivisionError("a fault of the sink")
        return flush(cache, epoch, changes)

    monkeypatch.setattr(sink, "flush", flushed)
    return sizes


def test_a_value_at_which_the_sink_fails_by_surprise_holds_up_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found by halves, stays dirty and readable, is never parked, and is written once the fault is mended."""
    events: list[Any] = []
    rig.cache.subscribe(events.append)
    for number in range(40):
        rig.cache.put(f"k{number}", Profile(f"n{number}", number))
    with monkeypatch.context() as broken:
        failing(rig, broken, "n7", "n33")
        assert not (rig.cache.flush(timeout=1.0)).clean
        assert sorted(rig.cache.dirty()) == ["k33", "k7"]
        assert (rig.row("k8") or ())[:2] == ("n8", 8)
        assert rig.cache.get("k7") == Profile("n7", 7)
    failed = [event for event in events if isinstance(event, SinkFailed)]
    assert failed and "ZeroDivisionError" in failed[0].why
    assert (rig.cache.flush(timeout=PATIENCE)).clean
    assert ((rig.row("k7") or ())[:2], rig.cache.parked()) == (("n7", 7), [])


def test_a_sink_that_always_fails_by_surprise_is_down(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked for each value of a batch, and what was claimed is due at once when it is mended."""
    names = [f"n{number}" for number in range(100)]
    for number, name in enumerate(names):
        rig.cache.put(f"k{number}", Profile(name, number))
    with monkeypatch.context() as broken:
        sizes = failing(rig, broken, *names)
        assert not (rig.cache.flush(timeout=0.1)).clean
        assert sizes[0] == 100 and sizes.count(1) <= 8 * sizes.count(100)
    began = time.monotonic()
    assert (rig.cache.flush(timeout=PATIENCE)).clean
    assert time.monotonic() - began < 10.0  # half a claim


def test_parked_values_are_listed_where_one_cannot_be_read(rig: Rig, redis_server: Any) -> None:
    """It has no value there."""
    rig.cache.put("a", Profile(None, 1))
    rig.cache.flush(timeout=PATIENCE)
    strategy = WriteBack(sink=SqlSink(rig.engine, rig.table), durability="memory", load=lambda key: None, ttl=300)
    other: Cache[Older] = Cache(
        rig.called, Older, strategy=strategy, tiers=[Shared(redis_server.primary.url, timeout=5.0)]
    )
    assert [(parked.key, parked.value, parked.deleted) for parked in other.parked()] == [("a", None, False)]
    other.close()


def test_a_flusher_that_comes_after_a_discard_leaves_nothing_older_in_the_cache(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the row of the discarded value, and is killed before it says so: readers get that row."""
    sink: Any = rig.cache.strategy.sink
    rig.set_row("a", "old", 0)
    receipt = rig.cache.put("a", Profile("ada", 2))

    def refused(*_: Any) -> Any:
        raise SinkRefused("not today")

    with monkeypatch.context() as broken:
        broken.setattr(sink, "flush", refused)
        assert (rig.cache.flush(timeout=PATIENCE)).parked == 1
    assert rig.cache.discard("a")
    assert [rig.cache.get("a") for _ in range(3)] == [Profile("old", 1)] * 3
    epoch = (rig.cache.back._parts.buffer.status()).epoch
    sink.flush(rig.called, epoch, [Change("a", receipt.version, Profile("ada", 2))])
    assert rig.cache.get("a") == Profile("ada", 2)
    loads = rig.cache.counters.loads
    assert rig.cache.get("a") == Profile("ada", 2)
    assert rig.cache.counters.loads == loads


def test_a_sink_is_closed_by_the_last_cache_that_uses_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one name are one cache. Another name is refused."""
    sink: Any = rig.cache.strategy.sink
    strategy, tiers = rig.cache.strategy, [Shared(rig.server.primary.url, timeout=5.0)]
    twin = Cache(rig.called, Profile, strategy=strategy, tiers=tiers)
    with pytest.raises(ConfigurationError, match="serves two caches"):
        Cache("another", Profile, strategy=strategy, tiers=tiers)
    closed: list[int] = []
    close = sink.close

    def counted() -> None:
        closed.append(1)
        close()

    monkeypatch.setattr(sink, "close", counted)
    twin.close()
    twin.close()
    assert closed == []
    rig.cache.put("a", Profile("ada", 1))
    assert (rig.cache.flush()).clean
    rig.cache.close()
    assert closed == [1]


def test_a_second_cache_over_the_same_table_is_refused_when_it_is_opened(rig: Rig, redis_server: Any) -> None:
    """With what to run where the first one is no more."""
    rig.cache.put("a", Profile("ada", 1))
    rig.cache.flush()
    strategy = WriteBack(sink=SqlSink(rig.engine, rig.table), durability="memory", ttl=300)
    other: Cache[Profile] = Cache(
        f"x{rig.called}"[:20], Profile, strategy=strategy, tiers=[Shared(redis_server.primary.url, timeout=5.0)]
    )
    with pytest.raises(ConfigurationError, match="another write-back cache") as refused:
        other.put("a", Profile("bob", 2))
    assert (rig.row("a") or ())[:2] == ("ada", 1)
    run = refused.value.fix.partition("nothing of it is dirty: ")[2].rstrip(".").replace("WHERE cache", "WHERE cache")
    with rig.engine.begin() as db:
        for statement in run.split("; "):
            db.execute(text(statement))
    other.put("a", Profile("bob", 2))
    assert (other.flush()).clean
    assert (rig.row("a") or ())[:2] == ("bob", 2)
    other.close()


def test_a_flusher_drops_old_marks_of_deletes(rig: Rig) -> None:
    """Those that are older than anything that could come back; not a fresh one."""
    for key in "ab":
        rig.cache.put(key, Profile(key, 1))
        rig.cache.delete(key)
        rig.cache.flush()
    rig.cache.put("c", Profile("c", 1))
    marks = text(f"SELECT count(*) FROM regionkit_rk_wb_mark WHERE cache = '{rig.called}'")

    def count() -> int:
        with rig.engine.connect() as db:
            return int((db.execute(marks)).scalar_one())

    assert count() == 2
    with rig.engine.begin() as db:
        oldest = "SELECT min(version) FROM regionkit_rk_wb_mark WHERE cache <> ''"
        [version] = (db.execute(text(oldest))).one()
        db.execute(text("UPDATE regionkit_rk_wb_mark SET made = 1 WHERE version = :v"), {"v": version})
    flusher = rig.cache.flusher()
    flusher._forgets_from = 0.0
    with flusher:
        end = time.monotonic() + PATIENCE
        while count() != 1:
            assert time.monotonic() < end, "an old mark stays"
            sleep(0.02)
    assert count() == 1


def test_closing_a_cache_does_not_drain_a_flusher_twice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stop says whether nothing is dirty; the second says the same, at once."""
    flusher = rig.cache.flusher(drain=0.2)
    flusher.start()
    failing(rig, monkeypatch, "bad")
    rig.cache.put("a", Profile("bad", 1))
    assert flusher.stop() is False
    flushes: list[int] = []
    real = rig.cache.back.looking.flush

    def counted(*given: Any, **named: Any) -> Any:
        flushes.append(1)
        return real(*given, **named)

    monkeypatch.setattr(rig.cache.back.looking, "flush", counted)
    assert flusher.stop() is False
    rig.cache.close()
    assert flushes == []


def test_a_put_without_proof_is_asked_again_and_waits_for_it(own_redis: Any, accounts: Any) -> None:
    """A replica that stands still confirms nothing, whoever asks; when it goes on the same put has its proof."""
    server = own_redis(1, settings=["--min-replicas-to-write", "1", "--min-replicas-max-lag", "3600"])
    replica = server.replicas[0]
    with Rig(server, accounts, durability="replicated", wait=0.3) as rig:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                rig.cache.put("a", Profile("ada", 1))
                break
            except Exception:
                assert time.monotonic() < end
                sleep(0.1)
        replica.freeze()
        try:
            with pytest.raises(DurabilityUnknown) as unproved:
                rig.cache.put("a", Profile("ada", 2))
            with pytest.raises(DurabilityUnknown) as still:
                rig.cache.put("a", Profile("ada", 2), again=unproved.value)
            assert unproved.value.version == still.value.version > 0
        finally:
            replica.thaw()
        receipt = None
        while receipt is None:
            try:
                receipt = rig.cache.put("a", Profile("ada", 2), again=still.value)
            except DurabilityUnknown:
                assert time.monotonic() < end + PATIENCE
        assert (receipt.version, receipt.durable_in) == (still.value.version, "redis-replicated")
        assert rig.cache.get("a") == Profile("ada", 2)
