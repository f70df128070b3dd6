"""What write-back promises, where it is hardest to hold: late values, lost answers, keys that look alike."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from regionkit.caching import AsyncCache, Shared
from regionkit.caching.back.refusals import SinkDown
from regionkit.caching.outcome import Outcome
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency_async import asleep
from regionkit.errors import BackendError, Backpressure, CacheError, ConfigurationError, DurabilityUnknown, UsageError

from .test_write_back_async import Profile, Rig

PATIENCE = 20.0
"""Seconds: the tier is told again each half of one."""


@pytest.fixture
async def rig(redis_server: Any, accounts: Any) -> AsyncIterator[Rig]:
    """With a shared tier only."""
    async with Rig(redis_server, accounts) as made:
        yield made


async def nothing(keys: list[str]) -> dict[str, Any]:
    """Loads of several keys: none has a row."""
    return {}


async def test_gets_of_many_keys_see_what_is_dirty(rig: Rig) -> None:
    """Also where they load together, and one of them is not dirty."""
    await rig.cache.put("a", Profile("ada", 1))
    other = rig.another(load_many=nothing)
    assert await other.get_many(["a", "b"]) == {"a": Profile("ada", 1)}
    await other.close()


async def test_a_value_that_the_row_has_left_behind_is_not_shown(rig: Rig) -> None:
    """The buffer has lost a later put, which a flusher had written: readers get the row."""
    first = await rig.cache.put("a", Profile("old", 1))
    await rig.set_row("a", "later", first.version + 1)
    assert (await rig.cache.flush()).clean
    assert await rig.cache.get("a") == Profile("later", 1)


async def test_a_get_that_began_before_a_put_leaves_nothing_older_behind(
    redis_server: Any, accounts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the old value when the put is acknowledged, and the news of the put are late."""
    async with Rig(redis_server, accounts) as rig:
        cache = rig.another(local=True)
        await cache.put("a", Profile("ada", 1))
        inside, buffer = cache.fetcher.parts, cache.back._parts.buffer
        old, _ = inside.shaper.sealed("a", Outcome(Profile("ada", 1)), inside.shaper.life())
        old.stamp = 1
        marks: list[Any] = []
        real = buffer.again

        async def again(put: Any, first: bool = False) -> Any:
            marks.append(inside.table.mark("a", inside.shaper.digest("a")))
            return await real(put, first)

        monkeypatch.setattr(buffer, "again", again)
        monkeypatch.setattr(cache.tier, "news", lambda *_: None)
        inside.table.open = True
        await cache.put("a", Profile("ada", 2))
        assert not inside.table.put(old, marks[0])
        assert await cache.get("a") == Profile("ada", 2)
        await cache.close()


async def test_a_lost_answer_is_asked_for_with_the_same_put_only(rig: Rig) -> None:
    """Another value, another key, a delete in its place are refused; the same put is done once."""
    putting = rig.cache.back.putting
    await rig.cache.put("a", Profile("ada", 1))
    sealing = putting._sealed("a", Profile("ada", 2), deleted=False)[1]
    lost = DurabilityUnknown("no answer", put=await rig.cache.back._parts.buffer.begun("a", sealing, False, None))
    for key, value in (("a", Profile("ada", 3)), ("b", Profile("ada", 2))):
        with pytest.raises(UsageError, match="not the error of this put"):
            await rig.cache.put(key, value, again=lost)
    with pytest.raises(UsageError, match="not the error of this put"):
        await rig.cache.delete("a", again=lost)
    with pytest.raises(UsageError, match="not the error of this put"):
        await rig.cache.put("a", Profile("ada", 2), again=lost, if_version=7)
    assert await rig.cache.get("a") == Profile("ada", 1)
    first = await rig.cache.put("a", Profile("ada", 2), again=lost)
    assert await rig.cache.put("a", Profile("ada", 2), again=lost) == first
    assert await rig.cache.get("a") == Profile("ada", 2)


async def test_a_flush_of_a_key_waits_for_what_was_dirty_at_its_call(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later put of the key, while the sink is down, is not its row."""
    sink: Any = rig.cache.strategy.sink

    async def down(*_: Any) -> Any:
        await rig.cache.put("a", Profile("ada", 2))
        raise SinkDown("stopped")

    await rig.cache.put("a", Profile("ada", 1))
    with monkeypatch.context() as stopped:
        stopped.setattr(sink, "flush", down)
        assert not (await rig.cache.flush("a", timeout=0.3)).clean
    assert await rig.row("a") is None
    assert (await rig.cache.flush("a")).clean
    assert (await rig.row("a") or ())[:2] == ("ada", 2)
    assert (await rig.cache.flush("never")).clean


async def test_keys_that_a_server_takes_for_one_are_not_one_row(rig: Rig) -> None:
    """42 is not "42": a key of another type than the table's is refused, whether it is put, deleted or read."""
    await rig.cache.put("42", Profile("text", 1))
    for key in (42, b"42", UUID(int=42), ("42",)):
        with pytest.raises(UsageError, match="no key of cache"):
            await rig.cache.put(key, Profile("other", 2))
        with pytest.raises(UsageError, match="no key of cache"):
            await rig.cache.delete(key)
        with pytest.raises(UsageError, match="no key of cache"):
            await rig.cache.get(key)
    flushed = await rig.cache.flush()
    assert (flushed.clean, flushed.parked, (await rig.row("42") or ())[:2]) == (True, 0, ("text", 1))


async def test_a_tenant_has_no_row_of_its_own(rig: Rig) -> None:
    """Two tenants' values of one key would be one row: refused when the cache is made."""
    with pytest.raises(ConfigurationError, match="a tenant"):
        AsyncCache("x", Profile, strategy=rig.cache.strategy, tiers=[Shared(rig.server.primary.url)], tenant="somebody")


async def test_a_sink_that_does_not_answer_is_an_error_that_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a get that loads, and of a put that has to know the row's version; retryable, and nothing was put."""
    await rig.set_row("a", "ada", 0)

    async def down(*_: Any) -> Any:
        raise SinkDown("stopped")

    monkeypatch.setattr(rig.cache.fetcher.parts.source, "load", down)
    monkeypatch.setattr(rig.cache.strategy.sink, "load", down)
    with pytest.raises(BackendError) as got:
        await rig.cache.get("a")
    with pytest.raises(Backpressure) as put:
        await rig.cache.put("a", Profile("ada", 2), if_version=0)
    for error in (got.value, put.value):
        assert (error.retryable, error.committed) == (True, "no")
    assert await rig.cache.dirty() == []


@pytest.mark.parametrize(("lost", "committed"), [("sink", "unknown"), ("tier", "yes")])
async def test_a_row_written_through_whose_answer_is_lost_is_what_readers_get(
    redis_server: Any, accounts: Any, monkeypatch: pytest.MonkeyPatch, lost: str, committed: str
) -> None:
    """The sink's answer, or the shared tier's: the cache does not keep what it had of the key."""
    async with Rig(redis_server, accounts, max_dirty=1, on_full=("write-through",)) as rig:
        sink, buffer = rig.cache.strategy.sink, rig.cache.back._parts.buffer
        await rig.cache.put("b", Profile("b", 1))
        await rig.cache.flush()
        await rig.cache.put("a", Profile("a", 1))
        flush = sink.flush

        async def flushed(*words: Any) -> Any:
            await flush(*words)
            raise SinkDown("the answer was lost")

        async def wrote(*_: Any) -> Any:
            raise TierDown("the connection was lost", sent=True)

        with monkeypatch.context() as cut:
            cut.setattr(*((sink, "flush", flushed) if lost == "sink" else (buffer, "wrote", wrote)))
            with pytest.raises(CacheError) as told:
                await rig.cache.put("b", Profile("b", 2))
        assert (told.value.committed, told.value.retryable) == (committed, True)
        assert (await rig.row("b") or ())[:2] == ("b", 2)
        end = time.monotonic() + PATIENCE
        while await rig.cache.get("b") != Profile("b", 2):
            assert time.monotonic() < end, "what the cache had before is still read"
            await asleep(0.02)
