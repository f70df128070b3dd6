"""Servers that are as durable as a buffer's mode says, and others: looked at before the first put."""

from __future__ import annotations

from typing import Any

import pytest
from fix_rigs import wait_until

from regionkit.caching.back.buffer_async import AsyncBuffer
from regionkit.caching.back.durability_async import AsyncDurability
from regionkit.caching.back.modes import mode_named
from regionkit.caching.back.rules import Answer, version_of
from regionkit.caching.steps import TierDown
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency_async import asleep
from regionkit.errors import ConfigurationError, DurabilityUnknown

from .buffered_async import AsyncBuffered, now

pytestmark = pytest.mark.redis

AOF = ("--appendonly", "yes", "--appendfsync")


def durable(b: AsyncBuffered, mode: str, **options: Any) -> AsyncBuffered:
    """With a mode."""
    durability = AsyncDurability(b.tier, mode_named(mode), SYSTEM_CLOCK, **options)
    b.buffer = AsyncBuffer(b.tier, durability=durability)
    return b


async def test_each_mode_finds_out_whether_the_server_is_so(own_redis: Any) -> None:
    """And a later look sees what was set meanwhile."""
    servers = own_redis(settings=[*AOF, "everysec"])
    async with AsyncBuffered(servers.primary.url) as b:
        durable(b, "aof-always")
        with pytest.raises(ConfigurationError, match="appendfsync always"):
            await b.put("a", "1")
        assert (await b.buffer.status()).number == 0, "it was sent"
        with servers.primary.client() as client:
            client.config_set("appendfsync", "always")
            await b.opened()
            assert (await b.put("a", "1")).answer is Answer.DONE
            durability: Any = b.buffer.durability
            assert durability.assumed == ""
            client.config_set("appendfsync", "everysec")
            assert (await b.put("a", "1")).answer is Answer.DONE
            durability._at -= 61.0
            with pytest.raises(ConfigurationError, match="appendfsync always"):
                await b.put("a", "1")
            client.config_set("maxmemory-policy", "allkeys-lru")
            with pytest.raises(ConfigurationError, match="noeviction"):
                await durable(b, "memory").put("a", "1")
        with pytest.raises(ConfigurationError, match="assume"):
            durable(b, "memory", assume="aof-always")


async def test_another_run_of_the_server_is_looked_at_anew(own_redis: Any) -> None:
    """Before anything is put there: it may have been started with other settings."""
    servers = own_redis(settings=[*AOF, "always"])
    async with AsyncBuffered(servers.primary.url) as b:
        durable(b, "aof-always")
        await b.opened()
        assert (await b.put("a", "1")).answer is Answer.DONE
        servers.primary.kill()
        servers.primary._settings = (*AOF, "everysec")
        servers.primary.start()
        end = now() + 30.0
        while True:
            try:
                put = await b.put("a", "2")
            except (TierDown, DurabilityUnknown):
                assert now() < end, "it never comes back"
                await asleep(0.05)
            except ConfigurationError as error:
                assert "appendfsync always" in error.fix
                break
            else:
                assert put.answer is Answer.OPEN
        with servers.primary.client() as client:
            assert client.xlen(b.tier._prefix + b":puts") == 2, "an epoch and a put"


async def test_an_account_that_may_not_ask_has_to_be_told(own_redis: Any) -> None:
    """As managed servers have it."""
    servers = own_redis(settings=[*AOF, "always"])
    with servers.primary.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-config")
    async with AsyncBuffered(servers.primary.url.replace("redis://", "redis://app:word@")) as b:
        with pytest.raises(ConfigurationError, match='assume="aof-always"'):
            await durable(b, "aof-always").put("a", "1")
        durable(b, "aof-always", assume="aof-always")
        await b.opened()
        assert (await b.put("a", "1")).answer is Answer.DONE
        assert b.buffer.durability is not None
        assert b.buffer.durability.assumed == "appendfsync"


async def test_a_put_that_replicas_have_not_is_there_and_not_proved(own_redis: Any) -> None:
    """The error has its version; once they have it the same put is proved."""
    servers = own_redis(1, settings=["--min-replicas-to-write", "1", "--min-replicas-max-lag", "60"])
    replica = servers.replicas[0]
    with servers.primary.client() as client:
        wait_until(lambda: client.info("replication").get("min_slaves_good_slaves") == 1)
    async with AsyncBuffered(servers.primary.url) as b:
        durable(b, "replicated", timeout=4.0)
        await b.opened()
        assert (await b.put("a", "1")).version == version_of(1, 1)
        with servers.primary.client() as client:
            client.script_flush()
        assert (await b.put("a", "2")).version == version_of(1, 2), "its script was forgotten"
        replica.pause_replay()
        with pytest.raises(DurabilityUnknown) as raised:
            await b.put("a", "3")
        assert (raised.value.version, raised.value.committed) == (version_of(1, 3), "unknown")
        assert await b.seen("a") == "3"
        replica.resume_replay()
        servers.wait_for_replicas()
        assert (await b.buffer.again(raised.value.put)).version == version_of(1, 3)
        assert (await b.put("a", "4")).version == version_of(1, 4)


async def test_aof_wait_is_proved_or_refused(own_redis: Any) -> None:
    """By the server's version."""
    servers = own_redis(settings=[*AOF, "everysec"])
    with servers.primary.client() as client:
        info = client.info("server")
    knows = tuple(map(int, info["redis_version"].split(".")[:2])) >= (7, 2)
    async with AsyncBuffered(servers.primary.url) as b:
        durable(b, "aof-wait", timeout=5.0)
        await b.opened()
        if not knows:
            with pytest.raises(ConfigurationError, match="WAITAOF"):
                await b.put("a", "1")
            return
        assert (await b.put("a", "1")).answer is Answer.DONE
