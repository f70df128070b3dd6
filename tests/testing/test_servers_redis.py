"""Redis and Valkey under the test kit: replication, held replicas, failover and return."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from regionkit.testing.servers.kinds.redis import RedisServers
from regionkit.testing.servers.nodes import wait_until

pytestmark = pytest.mark.redis


def test_redis_replica_streams_and_refuses_writes(redis_server: RedisServers) -> None:
    """A key set on the primary shows on the replica, which takes no writes."""
    with redis_server.primary.client() as primary, redis_server.replicas[0].client() as replica:
        primary.set("streams", "1")
        redis_server.wait_for_replicas()
        assert replica.get("streams") == b"1"
        with pytest.raises(redis.exceptions.ReadOnlyError):
            replica.set("streams", "2")


def test_redis_replay_paused(redis_server: RedisServers) -> None:
    """A held replica serves what it has; let go, it catches up without a new copy of everything."""
    replica_node = redis_server.replicas[0]
    with redis_server.primary.client() as primary, replica_node.client() as replica:
        copies = primary.info("stats")["sync_full"]
        replica_node.pause_replay()
        try:
            primary.set("paused", "1")
            time.sleep(0.1)
            assert replica.get("paused") is None
        finally:
            replica_node.resume_replay()
        redis_server.wait_for_replicas()
        assert replica.get("paused") == b"1"
        assert primary.info("stats")["sync_full"] == copies


@pytest.mark.parametrize("provider", ["local", "wheel"])
def test_redis_failover_and_return(
    own_redis: Callable[..., RedisServers], provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis and Valkey alike: the promoted replica keeps the data and takes writes, the old primary mirrors it."""
    monkeypatch.setenv("REGIONKIT_TEST_PROVIDERS", provider)
    nodes = own_redis(1)
    old, new = nodes.nodes
    with old.client() as client:
        client.set("a", "1")
    nodes.wait_for_replicas()
    old.kill()
    with pytest.raises(redis.exceptions.ConnectionError), old.client() as client:
        client.ping()
    new.promote()
    with new.client() as client:
        assert client.get("a") == b"1"
        client.set("b", "2")
    old.follow(new)
    with old.client() as client:
        assert (client.get("a"), client.get("b")) == (b"1", b"2")
        old.freeze()
        with pytest.raises(redis.exceptions.TimeoutError), old.client(socket_timeout=0.2) as impatient:
            impatient.ping()
        old.thaw()
        assert client.ping()
    old.stop()
    assert not old.alive
    old.start()
    wait_until(lambda: _redis_keys(old.url) == 2, "it has synchronised again", 10)


def _redis_keys(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return client.dbsize()
