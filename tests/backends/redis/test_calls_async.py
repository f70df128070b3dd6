"""A command of a block and its answer go in one step where nothing else is to come: what holds step by step holds there too."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from fix_rig_redis import RedisRig

from regionkit import AsyncRegionKit, OutcomeUnknown

pytestmark = pytest.mark.redis

LONG = 1_000_000
"""More than a socket takes at once, and more than is read at once."""


@pytest.fixture
async def kit(redis_store_rig: RedisRig) -> AsyncIterator[AsyncRegionKit]:
    """A kit beside the primary, with one connection."""
    topology = redis_store_rig.topology(options={"pool_size": 1})
    async with AsyncRegionKit(topology, local="us-east-1") as kit:
        await kit.create_tables()
        yield kit


async def test_the_time_of_an_earlier_block_ends_no_later_one(kit: AsyncRegionKit) -> None:
    """What was set for it stands, and the connection is the same; the later block's own time ends its wait."""
    async with kit.session() as s:
        async with s.write("orders", timeout=0.5) as client:
            number = await client.client_id()
        async with s.write("orders", timeout=20.0) as client:
            assert await client.client_id() == number
            began = time.monotonic()
            assert await client.blpop("nothing", 0.8) is None
            assert time.monotonic() - began >= 0.7
        async with s.write("orders", timeout=20.0) as client:
            assert await client.client_id() == number
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            async with s.write("orders", timeout=0.5) as client:
                await client.blpop("nothing", 10)
        assert 0.4 <= time.monotonic() - began < 5.0
        async with s.write("orders", timeout=20.0) as client:
            assert await client.client_id() != number


async def test_a_write_refused_behind_a_read_was_not_done(kit: AsyncRegionKit) -> None:
    """The good answer before it is of another message."""
    async with kit.session() as s, s.write("orders") as client:
        await client.set("text", "no number")
    for asks in (lambda c: c.get("text"), lambda c: c.pipeline(transaction=False).get("text").execute()):
        with pytest.raises(redis.exceptions.ResponseError) as caught:
            async with kit.session() as s, s.write("orders") as client:
                await asks(client)
                await client.incr("text")
        assert not getattr(caught.value, "__notes__", [])
    with pytest.raises(redis.exceptions.ResponseError) as caught:
        async with kit.session() as s, s.write("orders") as client:
            await client.set("other", "1")
            await client.incr("text")
    assert "a part of this block had been committed" in str(caught.value.__notes__)


async def test_long_and_nested_answers(kit: AsyncRegionKit) -> None:
    """They come in pieces."""
    async with kit.session() as s:
        async with s.write("orders") as client:
            assert await client.set("long", "x" * LONG)
            assert await client.rpush("row", *range(20_000)) == 20_000
        async with s.read("orders") as client:
            assert len(await client.get("long")) == LONG
            assert len(await client.lrange("row", 0, -1)) == 20_000
            assert await client.strlen("long") == LONG


async def test_answers_are_shaped_as_the_driver_does(kit: AsyncRegionKit) -> None:
    """Names in lower case, options of a command, callbacks of this block alone."""
    async with kit.session() as s, s.write("orders") as client:
        assert await client.execute_command("set", "a", "1") is True
        assert await client.set("a", "2", get=True) == b"1"
        assert await client.execute_command("GET", "a", NEVER_DECODE=True) == b"2"
        assert await client.exists("a", "b") == 1

        def shape(reply: Any, **options: Any) -> Any:
            return reply, options

        client.set_response_callback("GET", shape)
        assert await client.get("a") == (b"2", {})
    async with kit.session() as s, s.read("orders") as client:
        assert await client.get("a") == b"2"


async def test_blocks_leave_nothing_to_the_garbage_collector(kit: AsyncRegionKit) -> None:
    """What a session, its blocks and their clients hold of each other ends with them."""

    async def use() -> None:
        async with kit.session() as s:
            async with s.write("orders") as client:
                await client.set("a", "1")
            async with s.read("orders") as client:
                await client.get("a")

    await use()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await use()
        assert gc.collect() < 20  # of the monitor, at most: not one for each
    finally:
        gc.enable()
