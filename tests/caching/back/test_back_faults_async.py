"""Faults around a write-back cache that may not spread: to other values, other caches, other runs of the flusher."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from regionkit.caching import AsyncCache, AsyncSqlSink, Change, Shared, SinkRefused, WriteBack
from regionkit.caching.back.events import SinkFailed
from regionkit.core.concurrency_async import asleep
from regionkit.errors import ConfigurationError, DurabilityUnknown

from .test_write_back_async import Profile, Rig

PATIENCE = 20.0


class Older(msgspec.Struct):
    """What another version of the application has for a Profile."""

    colour: int


@pytest.fixture
async def rig(redis_server: Any, accounts: Any) -> AsyncIterator[Rig]:
    """With a shared tier only."""
    async with Rig(redis_server, accounts) as made:
        yield made


def failing(rig: Rig, monkeypatch: pytest.MonkeyPatch, *names: str) -> list[int]:
    """The sink raises at these what no sink should; how many changes each call had."""
    sink: Any = rig.cache.strategy.sink
    flush, sizes = sink.flush, list[int]()

    async def flushed(cache: str, epoch: int, changes: Any) -> Any:
        sizes.append(len(changes))
        if any(change.value.name in names for change in changes):
            raise ZeroDivisionError("a fault of the sink")
        return await flush(cache, epoch, changes)

    monkeypatch.setattr(sink, "flush", flushed)
    return sizes


async def test_a_value_at_which_the_sink_fails_by_surprise_holds_up_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found by halves, stays dirty and readable, is never parked, and is written once the fault is mended."""
    events: list[Any] = []
    rig.cache.subscribe(events.append)
    for number in range(40):
        await rig.cache.put(f"k{number}", Profile(f"n{number}", number))
    with monkeypatch.context() as broken:
        failing(rig, broken, "n7", "n33")
        assert not (await rig.cache.flush(timeout=1.0)).clean
        assert sorted(await rig.cache.dirty()) == ["k33", "k7"]
        assert (await rig.row("k8") or ())[:2] == ("n8", 8)
        assert await rig.cache.get("k7") == Profile("n7", 7)
    failed = [event for event in events if isinstance(event, SinkFailed)]
    assert failed and "ZeroDivisionError" in failed[0].why
    assert (await rig.cache.flush(timeout=PATIENCE)).clean
    assert ((await rig.row("k7") or ())[:2], await rig.cache.parked()) == (("n7", 7), [])


async def test_a_sink_that_always_fails_by_surprise_is_down(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked for each value of a batch, and what was claimed is due at once when it is mended."""
    names = [f"n{number}" for number in range(100)]
    for number, name in enumerate(names):
        await rig.cache.put(f"k{number}", Profile(name, number))
    with monkeypatch.context() as broken:
        sizes = failing(rig, broken, *names)
        assert not (await rig.cache.flush(timeout=0.1)).clean
        assert sizes[0] == 100 and sizes.count(1) <= 8 * sizes.count(100)
    began = time.monotonic()
    assert (await rig.cache.flush(timeout=PATIENCE)).clean
    assert time.monotonic() - began < 10.0  # half a claim


async def test_parked_values_are_listed_where_one_cannot_be_read(rig: Rig, redis_server: Any) -> None:
    """It has no value there."""
    await rig.cache.put("a", Profile(None, 1))
    await rig.cache.flush(timeout=PATIENCE)
    strategy = WriteBack(sink=AsyncSqlSink(rig.engine, rig.table), durability="memory", load=lambda key: None, ttl=300)
    other: AsyncCache[Older] = AsyncCache(
        rig.called, Older, strategy=strategy, tiers=[Shared(redis_server.primary.url, timeout=5.0)]
    )
    assert [(parked.key, parked.value, parked.deleted) for parked in await other.parked()] == [("a", None, False)]
    await other.close()


async def test_a_flusher_that_comes_after_a_discard_leaves_nothing_older_in_the_cache(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the row of the discarded value, and is killed before it says so: readers get that row."""
    sink: Any = rig.cache.strategy.sink
    await rig.set_row("a", "old", 0)
    receipt = await rig.cache.put("a", Profile("ada", 2))

    async def refused(*_: Any) -> Any:
        raise SinkRefused("not today")

    with monkeypatch.context() as broken:
        broken.setattr(sink, "flush", refused)
        assert (await rig.cache.flush(timeout=PATIENCE)).parked == 1
    assert await rig.cache.discard("a")
    assert [await rig.cache.get("a") for _ in range(3)] == [Profile("old", 1)] * 3
    epoch = (await rig.cache.back._parts.buffer.status()).epoch
    await sink.flush(rig.called, epoch, [Change("a", receipt.version, Profile("ada", 2))])
    assert await rig.cache.get("a") == Profile("ada", 2)
    loads = rig.cache.counters.loads
    assert await rig.cache.get("a") == Profile("ada", 2)
    assert rig.cache.counters.loads == loads


async def test_a_sink_is_closed_by_the_last_cache_that_uses_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one name are one cache. Another name is refused."""
    sink: Any = rig.cache.strategy.sink
    strategy, tiers = rig.cache.strategy, [Shared(rig.server.primary.url, timeout=5.0)]
    twin = AsyncCache(rig.called, Profile, strategy=strategy, tiers=tiers)
    with pytest.raises(ConfigurationError, match="serves two caches"):
        AsyncCache("another", Profile, strategy=strategy, tiers=tiers)
    closed: list[int] = []
    close = sink.close

    async def counted() -> None:
        closed.append(1)
        await close()

    monkeypatch.setattr(sink, "close", counted)
    await twin.close()
    await twin.close()
    assert closed == []
    await rig.cache.put("a", Profile("ada", 1))
    assert (await rig.cache.flush()).clean
    await rig.cache.close()
    assert closed == [1]


async def test_a_second_cache_over_the_same_table_is_refused_when_it_is_opened(rig: Rig, redis_server: Any) -> None:
    """With what to run where the first one is no more."""
    await rig.cache.put("a", Profile("ada", 1))
    await rig.cache.flush()
    strategy = WriteBack(sink=AsyncSqlSink(rig.engine, rig.table), durability="memory", ttl=300)
    other: AsyncCache[Profile] = AsyncCache(
        f"x{rig.called}"[:20], Profile, strategy=strategy, tiers=[Shared(redis_server.primary.url, timeout=5.0)]
    )
    with pytest.raises(ConfigurationError, match="another write-back cache") as refused:
        await other.put("a", Profile("bob", 2))
    assert (await rig.row("a") or ())[:2] == ("ada", 1)
    run = refused.value.fix.partition("nothing of it is dirty: ")[2].rstrip(".").replace("WHERE cache", "WHERE cache")
    async with rig.engine.begin() as db:
        for statement in run.split("; "):
            await db.execute(text(statement))
    await other.put("a", Profile("bob", 2))
    assert (await other.flush()).clean
    assert (await rig.row("a") or ())[:2] == ("bob", 2)
    await other.close()


async def test_a_flusher_drops_old_marks_of_deletes(rig: Rig) -> None:
    """Those that are older than anything that could come back; not a fresh one."""
    for key in "ab":
        await rig.cache.put(key, Profile(key, 1))
        await rig.cache.delete(key)
        await rig.cache.flush()
    await rig.cache.put("c", Profile("c", 1))
    marks = text(f"SELECT count(*) FROM regionkit_rk_wb_mark WHERE cache = '{rig.called}'")

    async def count() -> int:
        async with rig.engine.connect() as db:
            return int((await db.execute(marks)).scalar_one())

    assert await count() == 2
    async with rig.engine.begin() as db:
        oldest = "SELECT min(version) FROM regionkit_rk_wb_mark WHERE cache <> ''"
        [version] = (await db.execute(text(oldest))).one()
        await db.execute(text("UPDATE regionkit_rk_wb_mark SET made = 1 WHERE version = :v"), {"v": version})
    flusher = rig.cache.flusher()
    flusher._forgets_from = 0.0
    async with flusher:
        end = time.monotonic() + PATIENCE
        while await count() != 1:
            assert time.monotonic() < end, "an old mark stays"
            await asleep(0.02)
    assert await count() == 1


async def test_closing_a_cache_does_not_drain_a_flusher_twice(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stop says whether nothing is dirty; the second says the same, at once."""
    flusher = rig.cache.flusher(drain=0.2)
    await flusher.start()
    failing(rig, monkeypatch, "bad")
    await rig.cache.put("a", Profile("bad", 1))
    assert await flusher.stop() is False
    flushes: list[int] = []
    real = rig.cache.back.looking.flush

    async def counted(*given: Any, **named: Any) -> Any:
        flushes.append(1)
        return await real(*given, **named)

    monkeypatch.setattr(rig.cache.back.looking, "flush", counted)
    assert await flusher.stop() is False
    await rig.cache.close()
    assert flushes == []


async def test_a_put_without_proof_is_asked_again_and_waits_for_it(own_redis: Any, accounts: Any) -> None:
    """A replica that stands still confirms nothing, whoever asks; when it goes on the same put has its proof."""
    server = own_redis(1, settings=["--min-replicas-to-write", "1", "--min-replicas-max-lag", "3600"])
    replica = server.replicas[0]
    async with Rig(server, accounts, durability="replicated", wait=0.3) as rig:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                await rig.cache.put("a", Profile("ada", 1))
                break
            except Exception:
                assert time.monotonic() < end
                await asleep(0.1)
        replica.freeze()
        try:
            with pytest.raises(DurabilityUnknown) as unproved:
                await rig.cache.put("a", Profile("ada", 2))
            with pytest.raises(DurabilityUnknown) as still:
                await rig.cache.put("a", Profile("ada", 2), again=unproved.value)
            assert unproved.value.version == still.value.version > 0
        finally:
            replica.thaw()
        receipt = None
        while receipt is None:
            try:
                receipt = await rig.cache.put("a", Profile("ada", 2), again=still.value)
            except DurabilityUnknown:
                assert time.monotonic() < end + PATIENCE
        assert (receipt.version, receipt.durable_in) == (still.value.version, "redis-replicated")
        assert await rig.cache.get("a") == Profile("ada", 2)
