# Generated from test_buffer_async.py by scripts/twins.py. Do not edit.
"""The write-back buffer on a real server: what is acknowledged is what readers get, until the row shows it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.rules import Acked, Answer, version_of
from regionkit.caching.steps import BATCH
from regionkit.errors import CacheError

from .buffered import Buffered

pytestmark = pytest.mark.redis


def test_a_put_is_what_readers_get_until_the_row_shows_it(redis_server: Any) -> None:
    """Dirty, then the cache's own value; the store is not asked meanwhile."""
    url = redis_server.primary.url
    with Buffered(url) as b, Buffered(url, name=b.name, local=True, rows=b.rows) as other:
        b.opened()
        b.rows["a"] = ("old", 0)
        assert b.seen("a") == other.seen("a") == "old"
        put = b.put("a", "new")
        assert (put.answer, put.version) == (Answer.DONE, version_of(1, 1))
        loads = b.loads
        assert b.seen("a") == "new"
        assert b.cache.get_many(["a", "b"]) == {"a": "new"}
        assert b.seen("a", refresh=True) == b.seen("a", max_stale=0.0) == "new"
        [claimed] = (b.claim()).values()
        assert (b.value(claimed), claimed.tries, claimed.record.key) == ("new", 1, "a")
        assert not b.claim(), "two flushers have it"
        b.rows["a"] = ("new", put.version)
        assert b.buffer.ack([claimed]) == [Acked.CLEAN]
        assert b.seen("a") == "new"
        assert b.loads == loads + 1, "b alone was loaded"
        assert b.buffer.ack([claimed]) == [Acked.GONE]
        found = b.cache.lookup("a")
        assert (found.tier, found.version) == ("shared", f"20000000{put.version:019d}")
        b.whole()


def test_the_last_of_several_puts_is_written(redis_server: Any) -> None:
    """An ACK of an earlier one leaves the later, due at once."""
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        b.put("a", "one")
        first = (b.claim())["a"]
        later = b.put("a", "two")
        assert not b.claim()
        assert b.buffer.ack([first]) == [Acked.AGAIN]
        second = (b.claim())["a"]
        assert (second.record.version, b.value(second), second.tries) == (later.version, "two", 1)
        assert not b.buffer.park(first, "late")
        assert b.buffer.fail([first, second], 0.0) == 1
        assert (b.claim())["a"].tries == 1, "it was not tried"
        assert b.buffer.fail([first, second], 0.0, tries=1) == 1
        assert (b.claim())["a"].tries == 2
        assert b.buffer.ack([second]) == [Acked.CLEAN]
        b.whole()


def test_a_delete_is_a_record_and_readers_find_nothing(redis_server: Any) -> None:
    """Although the row stands."""
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        b.rows["a"] = ("old", 0)
        b.put("a", None)
        assert b.seen("a") is None
        claimed = (b.claim())["a"]
        assert (claimed.record.deleted, b.value(claimed)) == (True, None)
        del b.rows["a"]
        assert b.buffer.ack([claimed]) == [Acked.CLEAN]
        assert b.seen("a") is None
        assert b.loads == 0


@pytest.mark.parametrize("key", ["k", 7, b"k", UUID(int=5), ("a", 1, (b"b", UUID(int=1))), "long" * 100])
def test_a_flusher_gets_the_key_as_it_was_given(redis_server: Any, key: Any) -> None:
    """Of every type, and of any length."""
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        b.put(key, "v")
        assert b.seen(key) == "v"
        [(given, claimed)] = (b.claim()).items()
        assert (given, type(given)) == (key, type(key))
        assert b.buffer.ack([claimed]) == [Acked.CLEAN]
        assert b.seen(key) == "v"
        assert b.loads == 0


def test_what_is_parked_is_what_readers_get_until_it_is_discarded(redis_server: Any) -> None:
    """And a process that had it hears that it is gone."""
    url = redis_server.primary.url
    with Buffered(url) as b:
        b.opened()
        b.rows["a"] = ("row", 0)
        put = b.put("a", "bad")
        assert b.buffer.park((b.claim())["a"], "check \udcff constraint" * 100)
        assert not b.claim()
        assert b.seen("a") == "bad"
        [listed] = (b.buffer.page(parked=True)).keys
        assert (listed.record.key, listed.record.version, listed.reason[:5]) == ("a", put.version, "check")
        status = b.buffer.status()
        assert (status.dirty, status.parked, status.oldest) == (0, 1, None)
        b.whole()
        name = b.buffer.name("a")
        assert b.buffer.retry([name, b"snobody"]) == ["dirty", "gone"]
        again = (b.claim())["a"]
        assert again.record.version == put.version
        assert b.buffer.park(again, "still")
        b.put("a", "better")
        assert b.seen("a") == "better"
        assert b.buffer.retry([name]) == ["newer"]
        assert b.buffer.ack([(b.claim())["a"]]) == [Acked.CLEAN]
        assert (b.buffer.status()).parked == 0, "the row shows something later"
        b.put("a", "bad again")
        assert b.buffer.park((b.claim())["a"], "no")
        assert b.seen("a") == "bad again"
        assert b.buffer.discard([name, name]) == 1
        assert b.seen("a") == "row"
        b.whole()


def test_a_put_may_ask_for_the_version_that_it_replaces(redis_server: Any) -> None:
    """Dirty, parked, clean; where none of them is known here the row is loaded first."""
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        assert (b.put("a", "one", expected=0)).answer is Answer.LOAD
        assert b.seen("a") is None
        wrong = b.put("a", "one", expected=5)
        assert (wrong.answer, wrong.version) == (Answer.CONFLICT, 0)
        first = b.put("a", "one", expected=0)
        assert first.answer is Answer.DONE
        refused = b.put("a", "two", expected=0)
        assert (refused.answer, refused.version) == (Answer.CONFLICT, first.version)
        second = b.put("a", "two", expected=first.version)
        assert second.answer is Answer.DONE
        claimed = (b.claim())["a"]
        assert b.buffer.park(claimed, "no")
        assert (b.put("a", "three", expected=first.version)).version == second.version
        assert b.buffer.retry([b.buffer.name("a")]) == ["dirty"]
        assert b.buffer.ack(list((b.claim()).values())) == [Acked.CLEAN]
        assert (b.put("a", "three", expected=first.version)).version == second.version
        assert (b.put("a", "three", expected=second.version)).answer is Answer.DONE


def test_a_full_buffer_reserves_a_version(redis_server: Any) -> None:
    """By keys and by bytes; what is dirty may still be replaced by what is no larger."""
    with Buffered(redis_server.primary.url, max_dirty=2, max_bytes=5_000) as b:
        b.opened()
        b.put("a", "1")
        b.put("b", "1")
        full = b.put("c", "1")
        assert (full.answer, full.version) == (Answer.FULL, version_of(1, 3))
        assert (b.buffer.status()).dirty == 2
        assert (b.put("a", "2")).answer is Answer.DONE
        large = b.put("a", "3" * 10_000)
        assert large.answer is Answer.FULL
        b.rows["a"] = ("3" * 10_000, large.version)
        assert b.buffer.wrote("a", large.version) is Acked.CLEAN
        assert b.seen("a") == "3" * 10_000, "an older value stands in the way of the row"
        assert (b.put("c", "1")).answer is Answer.DONE
        b.whole()


def test_a_buffer_is_opened_first_and_never_with_an_old_epoch(own_redis: Any) -> None:
    """Nothing is done before; versions rise whatever was lost."""
    servers = own_redis()
    with Buffered(servers.primary.url) as b:
        put = b.put("a", "v")
        assert put.answer is Answer.OPEN
        assert (b.buffer.status()).is_open is False
        assert not (b.buffer.claim(1, 1.0, 1.0, b"t" * 16)).is_open
        b.opened(3)
        first = b.put("a", "v")
        assert first.version == version_of(3, 1)
        assert b.buffer.open(3) == (True, 3)
        assert (b.put("a", "w")).version == version_of(3, 2)
        with servers.primary.client() as client:
            client.flushall()
        lost = b.put("a", "x")
        assert (lost.answer, lost.version) == (Answer.OPEN, 0)
        assert b.buffer.open(4) == (True, 4)
        assert (b.put("a", "x")).version == version_of(4, 1)
        b.whole()


def test_what_a_process_cannot_read_is_an_error_and_not_the_row(redis_server: Any) -> None:
    """The row is older than what was acknowledged."""
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        b.rows["a"] = ("old", 0)
        b.put("a", "new")
        with redis_server.primary.client() as client:
            dirty, name = b.tier._prefix + b":dirty", b.buffer.name("a")
            record = client.hget(dirty, name)
            client.hset(dirty, name, record[:-4] + b"\x93\x01\x02\x03")
        with pytest.raises(CacheError, match="not in its row yet"):
            b.seen("a")


def test_many_are_claimed_and_answered_by_one_message_each(own_redis: Any) -> None:
    """Nobody gets one twice; a server that has lost the scripts gets them again."""
    servers = own_redis()
    with Buffered(servers.primary.url) as b:
        b.opened()
        keys = [f"k{number:03d}" for number in range(2 * BATCH + 30)]
        for key in keys:
            b.put(key, key)
        assert b.buffer.ack([]) == []
        first = b.claim(BATCH + 10)
        with servers.primary.client() as admin:
            admin.script_flush()
        second = b.claim(3 * BATCH)
        assert (len(first), len(second), len(first.keys() | second.keys())) == (BATCH + 10, BATCH + 20, len(keys))
        assert all(b.value(one) == key and one.tries == 1 for key, one in (first | second).items())
        gone = list(first.values())[3]
        b.buffer.park(gone, "no")
        b.put(keys[0], "later")
        with servers.primary.client() as admin:
            admin.script_flush()
            before = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
            told = b.buffer.ack([*first.values(), *second.values()])
            assert admin.info("commandstats")["cmdstat_evalsha"]["calls"] - before >= len(keys) // BATCH
        expected = {keys[0]: Acked.AGAIN, gone.record.key: Acked.GONE}
        assert told == [expected.get(key, Acked.CLEAN) for key in [*first, *second]]
        assert list(b.claim()) == [keys[0]]
        assert b.seen(keys[1]) == keys[1]
        b.whole()


def test_a_claim_takes_no_more_bytes_than_it_may(redis_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for its first record; what is left is due."""
    monkeypatch.setattr(f"{Buffer.__module__}.CLAIM_BYTES", 5_000)
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        for number in range(25):
            b.put(f"k{number:02d}", "x" * 1000)
        sizes = [len(b.claim()) for _ in range(8)]
        assert sizes == [4, 4, 4, 4, 4, 4, 1, 0]
        b.put("large", "x" * 20_000)
        b.put("small", "x")
        assert [list(b.claim()) for _ in range(2)] == [["large"], ["small"]]
