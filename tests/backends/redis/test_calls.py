# Generated from test_calls_async.py by scripts/twins.py. Do not edit.
"""A command of a block and its answer go in one step where nothing else is to come: what holds step by step holds there too."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from fix_rig_redis import RedisRig

from regionkit import OutcomeUnknown, RegionKit

pytestmark = pytest.mark.redis

LONG = 1_000_000
"""More than a socket takes at once, and more than is read at once."""


@pytest.fixture
def kit(redis_store_rig: RedisRig) -> Iterator[RegionKit]:
    """A kit beside the primary, with one connection."""
    topology = redis_store_rig.topology(options={"pool_size": 1})
    with RegionKit(topology, local="us-east-1") as kit:
        kit.create_tables()
        yield kit


def test_the_time_of_an_earlier_block_ends_no_later_one(kit: RegionKit) -> None:
    """What was set for it stands, and the connection is the same; the later block's own time ends its wait."""
    with kit.session() as s:
        with s.write("orders", timeout=0.5) as client:
            number = client.client_id()
        with s.write("orders", timeout=20.0) as client:
            assert client.client_id() == number
            began = time.monotonic()
            assert client.blpop("nothing", 0.8) is None
            assert time.monotonic() - began >= 0.7
        with s.write("orders", timeout=20.0) as client:
            assert client.client_id() == number
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            with s.write("orders", timeout=0.5) as client:
                client.blpop("nothing", 10)
        assert 0.4 <= time.monotonic() - began < 5.0
        with s.write("orders", timeout=20.0) as client:
            assert client.client_id() != number


def test_a_write_refused_behind_a_read_was_not_done(kit: RegionKit) -> None:
    """The good answer before it is of another message."""
    with kit.session() as s, s.write("orders") as client:
        client.set("text", "no number")
    for asks in (lambda c: c.get("text"), lambda c: c.pipeline(transaction=False).get("text").execute()):
        with pytest.raises(redis.exceptions.ResponseError) as caught:
            with kit.session() as s, s.write("orders") as client:
                asks(client)
                client.incr("text")
        assert not getattr(caught.value, "__notes__", [])
    with pytest.raises(redis.exceptions.ResponseError) as caught:
        with kit.session() as s, s.write("orders") as client:
            client.set("other", "1")
            client.incr("text")
    assert "a part of this block had been committed" in str(caught.value.__notes__)


def test_long_and_nested_answers(kit: RegionKit) -> None:
    """They come in pieces."""
    with kit.session() as s:
        with s.write("orders") as client:
            assert client.set("long", "x" * LONG)
            assert client.rpush("row", *range(20_000)) == 20_000
        with s.read("orders") as client:
            assert len(client.get("long")) == LONG
            assert len(client.lrange("row", 0, -1)) == 20_000
            assert client.strlen("long") == LONG


def test_answers_are_shaped_as_the_driver_does(kit: RegionKit) -> None:
    """Names in lower case, options of a command, callbacks of this block alone."""
    with kit.session() as s, s.write("orders") as client:
        assert client.execute_command("set", "a", "1") is True
        assert client.set("a", "2", get=True) == b"1"
        assert client.execute_command("GET", "a", NEVER_DECODE=True) == b"2"
        assert client.exists("a", "b") == 1

        def shape(reply: Any, **options: Any) -> Any:
            return reply, options

        client.set_response_callback("GET", shape)
        assert client.get("a") == (b"2", {})
    with kit.session() as s, s.read("orders") as client:
        assert client.get("a") == b"2"


def test_blocks_leave_nothing_to_the_garbage_collector(kit: RegionKit) -> None:
    """What a session, its blocks and their clients hold of each other ends with them."""

    def use() -> None:
        with kit.session() as s:
            with s.write("orders") as client:
                client.set("a", "1")
            with s.read("orders") as client:
                client.get("a")

    use()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            use()
        assert gc.collect() < 20  # of the monitor, at most: not one for each
    finally:
        gc.enable()
