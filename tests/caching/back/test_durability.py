# Generated from test_durability_async.py by scripts/twins.py. Do not edit.
"""Servers that are as durable as a buffer's mode says, and others: looked at before the first put."""

from __future__ import annotations

from typing import Any

import pytest
from fix_rigs import wait_until

from regionkit.caching.back.buffer import Buffer
from regionkit.caching.back.durability import Durability
from regionkit.caching.back.modes import mode_named
from regionkit.caching.back.rules import Answer, version_of
from regionkit.caching.steps import TierDown
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import sleep
from regionkit.errors import ConfigurationError, DurabilityUnknown

from .buffered import Buffered, now

pytestmark = pytest.mark.redis

AOF = ("--appendonly", "yes", "--appendfsync")


def durable(b: Buffered, mode: str, **options: Any) -> Buffered:
    """With a mode."""
    durability = Durability(b.tier, mode_named(mode), SYSTEM_CLOCK, **options)
    b.buffer = Buffer(b.tier, durability=durability)
    return b


def test_each_mode_finds_out_whether_the_server_is_so(own_redis: Any) -> None:
    """And a later look sees what was set meanwhile."""
    servers = own_redis(settings=[*AOF, "everysec"])
    with Buffered(servers.primary.url) as b:
        durable(b, "aof-always")
        with pytest.raises(ConfigurationError, match="appendfsync always"):
            b.put("a", "1")
        assert (b.buffer.status()).number == 0, "it was sent"
        with servers.primary.client() as client:
            client.config_set("appendfsync", "always")
            b.opened()
            assert (b.put("a", "1")).answer is Answer.DONE
            durability: Any = b.buffer.durability
            assert durability.assumed == ""
            client.config_set("appendfsync", "everysec")
            assert (b.put("a", "1")).answer is Answer.DONE
            durability._at -= 61.0
            with pytest.raises(ConfigurationError, match="appendfsync always"):
                b.put("a", "1")
            client.config_set("maxmemory-policy", "allkeys-lru")
            with pytest.raises(ConfigurationError, match="noeviction"):
                durable(b, "memory").put("a", "1")
        with pytest.raises(ConfigurationError, match="assume"):
            durable(b, "memory", assume="aof-always")


def test_another_run_of_the_server_is_looked_at_anew(own_redis: Any) -> None:
    """Before anything is put there: it may have been started with other settings."""
    servers = own_redis(settings=[*AOF, "always"])
    with Buffered(servers.primary.url) as b:
        durable(b, "aof-always")
        b.opened()
        assert (b.put("a", "1")).answer is Answer.DONE
        servers.primary.kill()
        servers.primary._settings = (*AOF, "everysec")
        servers.primary.start()
        end = now() + 30.0
        while True:
            try:
                put = b.put("a", "2")
            except (TierDown, DurabilityUnknown):
                assert now() < end, "it never comes back"
                sleep(0.05)
            except ConfigurationError as error:
                assert "appendfsync always" in error.fix
                break
            else:
                assert put.answer is Answer.OPEN
        with servers.primary.client() as client:
            assert client.xlen(b.tier._prefix + b":puts") == 2, "an epoch and a put"


def test_an_account_that_may_not_ask_has_to_be_told(own_redis: Any) -> None:
    """As managed servers have it."""
    servers = own_redis(settings=[*AOF, "always"])
    with servers.primary.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-config")
    with Buffered(servers.primary.url.replace("redis://", "redis://app:word@")) as b:
        with pytest.raises(ConfigurationError, match='assume="aof-always"'):
            durable(b, "aof-always").put("a", "1")
        durable(b, "aof-always", assume="aof-always")
        b.opened()
        assert (b.put("a", "1")).answer is Answer.DONE
        assert b.buffer.durability is not None
        assert b.buffer.durability.assumed == "appendfsync"


def test_a_put_that_replicas_have_not_is_there_and_not_proved(own_redis: Any) -> None:
    """The error has its version; once they have it the same put is proved."""
    servers = own_redis(1, settings=["--min-replicas-to-write", "1", "--min-replicas-max-lag", "60"])
    replica = servers.replicas[0]
    with servers.primary.client() as client:
        wait_until(lambda: client.info("replication").get("min_slaves_good_slaves") == 1)
    with Buffered(servers.primary.url) as b:
        durable(b, "replicated", timeout=4.0)
        b.opened()
        assert (b.put("a", "1")).version == version_of(1, 1)
        with servers.primary.client() as client:
            client.script_flush()
        assert (b.put("a", "2")).version == version_of(1, 2), "its script was forgotten"
        replica.pause_replay()
        with pytest.raises(DurabilityUnknown) as raised:
            b.put("a", "3")
        assert (raised.value.version, raised.value.committed) == (version_of(1, 3), "unknown")
        assert b.seen("a") == "3"
        replica.resume_replay()
        servers.wait_for_replicas()
        assert (b.buffer.again(raised.value.put)).version == version_of(1, 3)
        assert (b.put("a", "4")).version == version_of(1, 4)


def test_aof_wait_is_proved_or_refused(own_redis: Any) -> None:
    """By the server's version."""
    servers = own_redis(settings=[*AOF, "everysec"])
    with servers.primary.client() as client:
        info = client.info("server")
    knows = tuple(map(int, info["redis_version"].split(".")[:2])) >= (7, 2)
    with Buffered(servers.primary.url) as b:
        durable(b, "aof-wait", timeout=5.0)
        b.opened()
        if not knows:
            with pytest.raises(ConfigurationError, match="WAITAOF"):
                b.put("a", "1")
            return
        assert (b.put("a", "1")).answer is Answer.DONE
