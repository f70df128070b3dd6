"""The write-back buffer on a real server: what is acknowledged is what readers get, until the row shows it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from regionkit.caching.back.buffer_async import AsyncBuffer
from regionkit.caching.back.rules import Acked, Answer, version_of
from regionkit.caching.steps import BATCH
from regionkit.errors import CacheError

from .buffered_async import AsyncBuffered

pytestmark = pytest.mark.redis


async def test_a_put_is_what_readers_get_until_the_row_shows_it(redis_server: Any) -> None:
    """Dirty, then the cache's own value; the store is not asked meanwhile."""
    url = redis_server.primary.url
    async with AsyncBuffered(url) as b, AsyncBuffered(url, name=b.name, local=True, rows=b.rows) as other:
        await b.opened()
        b.rows["a"] = ("old", 0)
        assert await b.seen("a") == await other.seen("a") == "old"
        put = await b.put("a", "new")
        assert (put.answer, put.version) == (Answer.DONE, version_of(1, 1))
        loads = b.loads
        assert await b.seen("a") == "new"
        assert await b.cache.get_many(["a", "b"]) == {"a": "new"}
        assert await b.seen("a", refresh=True) == await b.seen("a", max_stale=0.0) == "new"
        [claimed] = (await b.claim()).values()
        assert (b.value(claimed), claimed.tries, claimed.record.key) == ("new", 1, "a")
        assert not await b.claim(), "two flushers have it"
        b.rows["a"] = ("new", put.version)
        assert await b.buffer.ack([claimed]) == [Acked.CLEAN]
        assert await b.seen("a") == "new"
        assert b.loads == loads + 1, "b alone was loaded"
        assert await b.buffer.ack([claimed]) == [Acked.GONE]
        found = await b.cache.lookup("a")
        assert (found.tier, found.version) == ("shared", f"20000000{put.version:019d}")
        await b.whole()


async def test_the_last_of_several_puts_is_written(redis_server: Any) -> None:
    """An ACK of an earlier one leaves the later, due at once."""
    async with AsyncBuffered(redis_server.primary.url) as b:
        await b.opened()
        await b.put("a", "one")
        first = (await b.claim())["a"]
        later = await b.put("a", "two")
        assert not await b.claim()
        assert await b.buffer.ack([first]) == [Acked.AGAIN]
        second = (await b.claim())["a"]
        assert (second.record.version, b.value(second), second.tries) == (later.version, "two", 1)
        assert not await b.buffer.park(first, "late")
        assert await b.buffer.fail([first, second], 0.0) == 1
        assert (await b.claim())["a"].tries == 1, "it was not tried"
        assert await b.buffer.fail([first, second], 0.0, tries=1) == 1
        assert (await b.claim())["a"].tries == 2
        assert await b.buffer.ack([second]) == [Acked.CLEAN]
        await b.whole()


async def test_a_delete_is_a_record_and_readers_find_nothing(redis_server: Any) -> None:
    """Although the row stands."""
    async with AsyncBuffered(redis_server.primary.url) as b:
        await b.opened()
        b.rows["a"] = ("old", 0)
        await b.put("a", None)
        assert await b.seen("a") is None
        claimed = (await b.claim())["a"]
        assert (claimed.record.deleted, b.value(claimed)) == (True, None)
        del b.rows["a"]
        assert await b.buffer.ack([claimed]) == [Acked.CLEAN]
        assert await b.seen("a") is None
        assert b.loads == 0


@pytest.mark.parametrize("key", ["k", 7, b"k", UUID(int=5), ("a", 1, (b"b", UUID(int=1))), "long" * 100])
async def test_a_flusher_gets_the_key_as_it_was_given(redis_server: Any, key: Any) -> None:
    """Of every type, and of any length."""
    async with AsyncBuffered(redis_server.primary.url) as b:
        await b.opened()
        await b.put(key, "v")
        assert await b.seen(key) == "v"
        [(given, claimed)] = (await b.claim()).items()
        assert (given, type(given)) == (key, type(key))
        assert await b.buffer.ack([claimed]) == [Acked.CLEAN]
        assert await b.seen(key) == "v"
        assert b.loads == 0


async def test_what_is_parked_is_what_readers_get_until_it_is_discarded(redis_server: Any) -> None:
    """And a process that had it hears that it is gone."""
    url = redis_server.primary.url
    async with AsyncBuffered(url) as b:
        await b.opened()
        b.rows["a"] = ("row", 0)
        put = await b.put("a", "bad")
        assert await b.buffer.park((await b.claim())["a"], "check \udcff constraint" * 100)
        assert not await b.claim()
        assert await b.seen("a") == "bad"
        [listed] = (await b.buffer.page(parked=True)).keys
        assert (listed.record.key, listed.record.version, listed.reason[:5]) == ("a", put.version, "check")
        status = await b.buffer.status()
        assert (status.dirty, status.parked, status.oldest) == (0, 1, None)
        await b.whole()
        name = b.buffer.name("a")
        assert await b.buffer.retry([name, b"snobody"]) == ["dirty", "gone"]
        again = (await b.claim())["a"]
        assert again.record.version == put.version
        assert await b.buffer.park(again, "still")
        await b.put("a", "better")
        assert await b.seen("a") == "better"
        assert await b.buffer.retry([name]) == ["newer"]
        assert await b.buffer.ack([(await b.claim())["a"]]) == [Acked.CLEAN]
        assert (await b.buffer.status()).parked == 0, "the row shows something later"
        await b.put("a", "bad again")
        assert await b.buffer.park((await b.claim())["a"], "no")
        assert await b.seen("a") == "bad again"
        assert await b.buffer.discard([name, name]) == 1
        assert await b.seen("a") == "row"
        await b.whole()


async def test_a_put_may_ask_for_the_version_that_it_replaces(redis_server: Any) -> None:
    """Dirty, parked, clean; where none of them is known here the row is loaded first."""
    async with AsyncBuffered(redis_server.primary.url) as b:
        await b.opened()
        assert (await b.put("a", "one", expected=0)).answer is Answer.LOAD
        assert await b.seen("a") is None
        wrong = await b.put("a", "one", expected=5)
        assert (wrong.answer, wrong.version) == (Answer.CONFLICT, 0)
        first = await b.put("a", "one", expected=0)
        assert first.answer is Answer.DONE
        refused = await b.put("a", "two", expected=0)
        assert (refused.answer, refused.version) == (Answer.CONFLICT, first.version)
        second = await b.put("a", "two", expected=first.version)
        assert second.answer is Answer.DONE
        claimed = (await b.claim())["a"]
        assert await b.buffer.park(claimed, "no")
        assert (await b.put("a", "three", expected=first.version)).version == second.version
        assert await b.buffer.retry([b.buffer.name("a")]) == ["dirty"]
        assert await b.buffer.ack(list((await b.claim()).values())) == [Acked.CLEAN]
        assert (await b.put("a", "three", expected=first.version)).version == second.version
        assert (await b.put("a", "three", expected=second.version)).answer is Answer.DONE


async def test_a_full_buffer_reserves_a_version(redis_server: Any) -> None:
    """By keys and by bytes; what is dirty may still be replaced by what is no larger."""
    async with AsyncBuffered(redis_server.primary.url, max_dirty=2, max_bytes=5_000) as b:
        await b.opened()
        await b.put("a", "1")
        await b.put("b", "1")
        full = await b.put("c", "1")
        assert (full.answer, full.version) == (Answer.FULL, version_of(1, 3))
        assert (await b.buffer.status()).dirty == 2
        assert (await b.put("a", "2")).answer is Answer.DONE
        large = await b.put("a", "3" * 10_000)
        assert large.answer is Answer.FULL
        b.rows["a"] = ("3" * 10_000, large.version)
        assert await b.buffer.wrote("a", large.version) is Acked.CLEAN
        assert await b.seen("a") == "3" * 10_000, "an older value stands in the way of the row"
        assert (await b.put("c", "1")).answer is Answer.DONE
        await b.whole()


async def test_a_buffer_is_opened_first_and_never_with_an_old_epoch(own_redis: Any) -> None:
    """Nothing is done before; versions rise whatever was lost."""
    servers = own_redis()
    async with AsyncBuffered(servers.primary.url) as b:
        put = await b.put("a", "v")
        assert put.answer is Answer.OPEN
        assert (await b.buffer.status()).is_open is False
        assert not (await b.buffer.claim(1, 1.0, 1.0, b"t" * 16)).is_open
        await b.opened(3)
        first = await b.put("a", "v")
        assert first.version == version_of(3, 1)
        assert await b.buffer.open(3) == (True, 3)
        assert (await b.put("a", "w")).version == version_of(3, 2)
        with servers.primary.client() as client:
            client.flushall()
        lost = await b.put("a", "x")
        assert (lost.answer, lost.version) == (Answer.OPEN, 0)
        assert await b.buffer.open(4) == (True, 4)
        assert (await b.put("a", "x")).version == version_of(4, 1)
        await b.whole()


async def test_what_a_process_cannot_read_is_an_error_and_not_the_row(redis_server: Any) -> None:
    """The row is older than what was acknowledged."""
    async with AsyncBuffered(redis_server.primary.url) as b:
        await b.opened()
        b.rows["a"] = ("old", 0)
        await b.put("a", "new")
        with redis_server.primary.client() as client:
            dirty, name = b.tier._prefix + b":dirty", b.buffer.name("a")
            record = client.hget(dirty, name)
            client.hset(dirty, name, record[:-4] + b"\x93\x01\x02\x03")
        with pytest.raises(CacheError, match="not in its row yet"):
            await b.seen("a")


async def test_many_are_claimed_and_answered_by_one_message_each(own_redis: Any) -> None:
    """Nobody gets one twice; a server that has lost the scripts gets them again."""
    servers = own_redis()
    async with AsyncBuffered(servers.primary.url) as b:
        await b.opened()
        keys = [f"k{number:03d}" for number in range(2 * BATCH + 30)]
        for key in keys:
            await b.put(key, key)
        assert await b.buffer.ack([]) == []
        first = await b.claim(BATCH + 10)
        with servers.primary.client() as admin:
            admin.script_flush()
        second = await b.claim(3 * BATCH)
        assert (len(first), len(second), len(first.keys() | second.keys())) == (BATCH + 10, BATCH + 20, len(keys))
        assert all(b.value(one) == key and one.tries == 1 for key, one in (first | second).items())
        gone = list(first.values())[3]
        await b.buffer.park(gone, "no")
        await b.put(keys[0], "later")
        with servers.primary.client() as admin:
            admin.script_flush()
            before = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
            told = await b.buffer.ack([*first.values(), *second.values()])
            assert admin.info("commandstats")["cmdstat_evalsha"]["calls"] - before >= len(keys) // BATCH
        expected = {keys[0]: Acked.AGAIN, gone.record.key: Acked.GONE}
        assert told == [expected.get(key, Acked.CLEAN) for key in [*first, *second]]
        assert list(await b.claim()) == [keys[0]]
        assert await b.seen(keys[1]) == keys[1]
        await b.whole()


async def test_a_claim_takes_no_more_bytes_than_it_may(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its first record; what is left is due."""
    monkeypatch.setattr(f"{AsyncBuffer.__module__}.CLAIM_BYTES", 5_000)
    async with AsyncBuffered(redis_server.primary.url) as b:
        await b.opened()
        for number in range(25):
            await b.put(f"k{number:02d}", "x" * 1000)
        sizes = [len(await b.claim()) for _ in range(8)]
        assert sizes == [4, 4, 4, 4, 4, 4, 1, 0]
        await b.put("large", "x" * 20_000)
        await b.put("small", "x")
        assert [list(await b.claim()) for _ in range(2)] == [["large"], ["small"]]
