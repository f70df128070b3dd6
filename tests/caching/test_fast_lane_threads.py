"""Threads and processes each ask over connections of their own."""

from __future__ import annotations

import os
import threading
import uuid

import pytest

from regionkit.caching import TTL, Cache, Shared
from regionkit.testing.servers.kinds.redis import RedisServers

pytestmark = pytest.mark.redis

KEYS = [f"k{number}" for number in range(30)]
ROUNDS = 20


def cache_of(server: RedisServers) -> Cache[str]:
    """Of 30 keys with themselves as values, every hit at the server."""
    shared = Shared(server.primary.url, timeout=10.0)
    cache = Cache(f"c{uuid.uuid4().hex[:12]}", str, strategy=TTL(ttl=60), tiers=[shared])
    for key in KEYS:
        cache.set(key, key)
        assert cache.get(key) == key
    return cache


def all_right(cache: Cache[str], keys: list[str] = KEYS) -> bool:
    """Whether each key has its own value, again and again."""
    quick = cache.tier._quick  # type: ignore[attr-defined]
    for number in range(ROUNDS):
        said = quick(("ECHO", f"{os.getpid()} {number}"))
        if said is not NotImplemented and said != f"{os.getpid()} {number}".encode():
            return False
        if any(cache.get(key) != key for key in keys):
            return False
    return True


def test_a_child_uses_no_connection_of_its_parents(redis_server: RedisServers) -> None:
    """Both ask at the same time, and both are answered."""
    with cache_of(redis_server) as cache:
        child = os.fork()
        if child == 0:
            fine = False
            try:
                fine = all_right(cache, KEYS[::-1])
            finally:
                os._exit(0 if fine else 1)
        fine = all_right(cache)
        _, status = os.waitpid(child, 0)
        assert fine
        assert os.waitstatus_to_exitcode(status) == 0
        assert all_right(cache)


def test_more_threads_than_connections_are_all_answered(redis_server: RedisServers) -> None:
    """Who finds no connection at hand waits for one."""
    with cache_of(redis_server) as cache:
        found: list[bool] = []
        threads = [threading.Thread(target=lambda: found.append(all_right(cache))) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 24
        assert cache.status()["shared_down"] == 0
