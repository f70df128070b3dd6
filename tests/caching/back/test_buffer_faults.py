# Generated from test_buffer_faults_async.py by scripts/twins.py. Do not edit.
"""The write-back buffer when servers die, fill up, forget, take over, or answer too late."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from regionkit.caching import Shared
from regionkit.caching.back.rules import EPOCH, Acked, Answer, version_of
from regionkit.caching.back.steps import PutAnswer
from regionkit.caching.steps import TierDown
from regionkit.core.concurrency import sleep
from regionkit.errors import DurabilityUnknown
from regionkit.testing import FaultProxy

from .buffered import Buffered

pytestmark = pytest.mark.redis

IS_ASYNC = False
PATIENCE = 30.0


def put_soon(b: Buffered, key: str, value: str) -> PutAnswer:
    """Once the tier is up again. Only what was surely not sent is sent anew."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return b.put(key, value)
        except (TierDown, DurabilityUnknown):
            assert time.monotonic() < end, "it never comes back"
            sleep(0.05)


def told_soon(b: Buffered, lost: DurabilityUnknown) -> PutAnswer:
    """What became of a put, once the tier is up again."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return b.buffer.again(lost.put)
        except (TierDown, DurabilityUnknown):
            assert time.monotonic() < end, "it never comes back"
            sleep(0.05)


@pytest.mark.parametrize("arrives", [True, False], ids=["the answer is lost", "the put is lost"])
def test_a_put_without_an_answer_is_done_once_when_it_is_asked_again(own_redis: Any, arrives: bool) -> None:
    """Whether it had arrived or not; and it stands where it stood among other puts."""
    servers = own_redis()
    with FaultProxy(servers.primary.url) as proxy:
        with (
            Buffered(Shared(proxy.url, timeout=0.3)) as b,
            Buffered(servers.primary.url, name=b.name) as c,
        ):
            b.opened()
            put_soon(b, "a", "before")
            if arrives:
                proxy.drop_replies()
            else:
                proxy.freeze()
            with pytest.raises(DurabilityUnknown) as raised:
                b.put("a", "mine")
            assert (raised.value.committed, raised.value.retryable, raised.value.version) == ("unknown", False, 0)
            if not arrives:
                proxy.cut()
            proxy.heal()
            if arrives:
                later = c.put("a", "later")
                assert later.answer is Answer.DONE
            first = told_soon(b, raised.value)
            assert first.answer is (Answer.SEEN if arrives else Answer.DONE)
            again = b.buffer.again(raised.value.put)
            assert (again.answer, again.version) == (Answer.SEEN, first.version)
            assert c.seen("a") == ("later" if arrives else "mine")
            assert (b.buffer.status()).number == (3 if arrives else 2), "it was sent twice"


def test_a_put_whose_id_is_forgotten_says_so(redis_server: Any) -> None:
    """More puts came since than are remembered: nobody knows."""
    with Buffered(redis_server.primary.url) as b:
        b.opened()
        b.put("a", "1")
        seen: list[Any] = []
        run = b.tier.run

        def answer_lost(*words: Any, **how: Any) -> Any:
            seen.append(run(*words, **how))
            raise TierDown("the answer was lost", sent=True)

        b.tier.run = answer_lost
        with pytest.raises(DurabilityUnknown) as raised:
            b.put("a", "2")
        b.tier.run = run
        assert seen[0][0] == b"done"
        b.put("a", "3")
        with redis_server.primary.client() as client:
            client.xtrim(b.tier._prefix + b":puts", maxlen=1, approximate=False)
        assert (b.buffer.again(raised.value.put)).answer is Answer.FORGOTTEN
        assert b.seen("a") == "3"


def test_a_client_that_retries_lends_its_address_and_not_its_retries(own_redis: Any) -> None:
    """A put goes over our own connections: it is sent once."""
    servers = own_redis()
    with FaultProxy(servers.primary.url) as proxy:
        module = redis.asyncio if IS_ASYNC else redis
        retry: Any = module.retry.Retry if IS_ASYNC else Retry
        client = module.Redis.from_url(
            proxy.url, retry=retry(NoBackoff(), 5), retry_on_error=[redis.exceptions.ConnectionError]
        )
        with Buffered(Shared(client, timeout=0.5)) as b:
            b.opened()
            put_soon(b, "a", "1")
            with servers.primary.client() as admin:
                before = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
                proxy.drop_replies()
                with pytest.raises(DurabilityUnknown):
                    b.put("a", "2")
                calls = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
                assert calls - before <= 1 + 1, "beside the ear's own"
                stored = admin.xlen(b.tier._prefix + b":puts")
            assert stored == 3, "an epoch and two puts"


def test_a_server_without_memory_says_full_and_keeps_what_it_has(own_redis: Any) -> None:
    """A flusher makes room: claims and ACKs go through."""
    servers = own_redis()
    with Buffered(servers.primary.url) as b:
        b.opened()
        b.put("a", "kept")
        with servers.primary.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            full = b.put("a", "more")
            assert (full.answer, full.version) == (Answer.FULL, version_of(1, 2))
            assert (b.put("new", "more")).answer is Answer.FULL
            assert b.seen("a") == "kept"
            parked = b.put("b", "x")
            assert parked.answer is Answer.FULL
            claimed = (b.claim())["a"]
            assert b.buffer.fail([claimed], 0.0) == 1
            assert b.buffer.park((b.claim())["a"], "no")
            assert b.buffer.retry([b.buffer.name("a")]) == ["dirty"]
            claimed = (b.claim())["a"]
            assert b.buffer.ack([claimed]) == [Acked.CLEAN]
            assert b.buffer.open(2) == (True, 2)
            b.whole()
            client.config_set("maxmemory", 0)
        assert (b.put("a", "more")).version == version_of(2, 1)


def test_a_restart_keeps_what_was_acknowledged_and_raises_the_epoch(own_redis: Any) -> None:
    """appendfsync always: a server that was killed has every acknowledged put."""
    servers = own_redis(settings=["--appendonly", "yes", "--appendfsync", "always"])
    with Buffered(servers.primary.url) as b:
        b.opened()
        for number in range(20):
            b.put(f"k{number % 5}", str(number))
        claimed = b.claim(2)
        servers.primary.kill()
        servers.primary.start()
        put = put_soon(b, "k0", "later")
        assert (put.answer, put.version) == (Answer.OPEN, 1)
        assert not (b.buffer.claim(9, 1.0, 1.0, b"t" * 16)).is_open
        assert b.buffer.open(2) == (True, 2)
        assert [b.seen(f"k{n}") for n in range(5)] == [str(15 + n) for n in range(5)]
        put = b.put("k0", "later")
        assert put.version == version_of(2, 1)
        assert b.buffer.ack(list(claimed.values())) == [Acked.AGAIN if key == "k0" else Acked.CLEAN for key in claimed]
        b.whole()


def test_a_replica_that_takes_over_never_gives_a_version_twice(own_redis: Any) -> None:
    """It lacks the last puts. What a flusher had written of them stands in the rows, and is not undone."""
    servers = own_redis(1)
    replica = servers.replicas[0]
    with FaultProxy(servers.primary.url) as proxy:
        with Buffered(proxy.url) as b:
            b.opened()
            b.put("a", "one")
            servers.wait_for_replicas()
            replica.pause_replay()
            lost = [b.put("a", "two"), b.put("b", "two")]
            [claimed] = [one for key, one in (b.claim()).items() if key == "a"]
            b.rows["a"] = ("two", claimed.record.version)
            servers.primary.kill()
            replica.promote()
            proxy.target(replica.url)
            proxy.cut()
            proxy.heal()
            put = put_soon(b, "b", "three")
            assert (put.answer, put.version) == (Answer.OPEN, 1)
            assert b.buffer.open(2) == (True, 2)
            put = b.put("b", "three")
            assert put.version == version_of(2, 1)
            assert put.version > max(one.version for one in lost)
            older = (b.claim())["a"]
            assert older.record.version == version_of(1, 1)
            assert b.buffer.ack([], [older]) == [Acked.CLEAN]
            assert b.seen("a") == "two", "the older value stands over the row"
            assert (b.buffer.status()).number + 2 * EPOCH >= put.version
