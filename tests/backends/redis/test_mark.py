# Generated from test_mark_async.py by scripts/twins.py. Do not edit.
"""The mark in the data: what a Redis that comes back from its append-only file, under another replication id, surely has."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from waiting import PATIENCE

from regionkit import Endpoint, RedisStore, Region, RegionKit, RegionKitError, Role, StaleRead, Topology
from regionkit.backends.redis.observation import marked_in
from regionkit.core.concurrency import sleep

pytestmark = pytest.mark.redis
NAMESPACE = "marks"


@pytest.fixture
def lasting(own_redis: Callable[..., Any]) -> Any:
    """A primary whose data come back, and a replica."""
    return own_redis(1, settings=["--appendonly", "yes", "--appendfsync", "always"])


def kit_of(found: Any) -> RegionKit:
    """In the primary's region."""
    near, far = found.nodes
    endpoints = [Endpoint("us", Role.PRIMARY, near.url), Endpoint("kr", Role.REPLICA, far.url)]
    store = RedisStore("carts", endpoints=endpoints, options={"decode_responses": True})
    return RegionKit(Topology(namespace=NAMESPACE, regions=[Region("us"), Region("kr")], stores=[store]), local="us")


def put(kit: RegionKit, value: str) -> str:
    """Write; the bookmark."""
    with kit.session() as s:
        with s.write("carts") as r:
            r.set("k", value)
        return s.bookmark()


def mark(kit: RegionKit) -> None:
    """As the monitor does after an answer of the owner."""
    store = kit._store("carts").shards[0]
    observation = store.probe(0)
    assert observation is not None
    store.backend(0).mark(5.0, observation)


def test_what_the_mark_covers_survived_and_what_came_behind_it_is_told_as_lost(lasting: Any) -> None:
    """Though it is there, too: nothing proves it. Until an operator says which primary counts, nobody writes."""
    with kit_of(lasting) as kit:
        kit.create_tables()
        put(kit, "0")
        kit._monitor.stop()
        first = put(kit, "1")
        sleep(1.0)  # two marks of one moment are one
        mark(kit)
        second = put(kit, "2")
        lasting.primary.kill()
        lasting.primary.start()
    with kit_of(lasting) as kit:
        with pytest.raises(RegionKitError):
            put(kit, "3")
        kit.adopt("carts", "us")
        with kit.session(bookmark=first) as s, s.read("carts") as r:
            assert r.get("k") == "2"
        with pytest.raises(StaleRead) as caught:
            with kit.session(bookmark=second) as s, s.read("carts") as r:
                r.get("k")
        assert caught.value.lost


def test_the_monitor_marks_what_was_written_and_rests_then(lasting: Any) -> None:
    """A write is covered soon; where nothing is written nothing is marked."""
    import redis

    with redis.Redis.from_url(lasting.primary.url) as plain:
        with kit_of(lasting) as kit:
            kit.create_tables()
            put(kit, "1")
            written = plain.info("replication")["master_repl_offset"]
            origin = plain.info("replication")["master_replid"]
            key = f"{NAMESPACE}:rk:mark"
            end = time.monotonic() + PATIENCE
            while marked_in(plain.get(key), origin) < written:
                assert time.monotonic() < end, "what was written is not covered"
                sleep(0.05)
            kit._monitor.stop()
            sleep(1.0)  # two marks of one moment are one
            before = plain.get(key)
            mark(kit)
            mark(kit)
            moved = plain.info("replication")["master_repl_offset"]
            if plain.get(key) != before:  # the primary's own PING to its replica came between
                assert moved - written < 1000
            put(kit, "2")
            mark(kit)
            after = plain.get(key)
            assert after != before
            put(kit, "3")
            mark(kit)
            assert plain.get(key) == after, "two marks in a moment"


def test_who_knows_that_nothing_moved_asks_nothing(lasting: Any) -> None:
    """The same answer again: no question is sent."""
    import redis

    def scripts(plain: Any) -> int:
        found = plain.info("commandstats")
        return sum(found.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))

    with kit_of(lasting) as kit:
        kit.create_tables()
        put(kit, "1")
        kit._monitor.stop()
        backend = kit._store("carts").shards[0].backend(0)
        observation = backend.probe(5.0, 5.0)
        backend.mark(5.0, observation)
        with redis.Redis.from_url(lasting.primary.url) as plain:
            before = scripts(plain)
            backend.mark(5.0, observation)
            assert scripts(plain) == before


def test_a_mark_speaks_of_one_replication_id() -> None:
    """Of another one, or where it is none, nothing is known."""
    assert marked_in(b"abc 17 1700000000000 150", "abc") == 17
    for mark in (None, b"", b"abc", b"abc x 1 150", b"\xff\xfe", b"def 17 1700000000000 150"):
        assert marked_in(mark, "abc") == 0
