"""What the page on the server of a shared tier says of accounts, memory, restarts: on real servers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fix_servers import entered

from regionkit.caching import TTL, Cache, Lazy, Loaded, Shared, WriteThrough
from regionkit.testing import servers

pytestmark = pytest.mark.redis
PAGE = Path(__file__).parents[2] / "docs" / "operations" / "cache-redis.md"
PATIENCE = 20.0
PATIENT = {"timeout": 5.0}  # a busy machine is no dead server
FLOORS = 200


@contextmanager
def server(*settings: str) -> Iterator[Any]:
    with ExitStack() as stack:
        yield entered(stack, servers.redis(settings=settings)).nodes[0]


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_account_of_the_page_is_enough() -> None:
    """Every verb of every strategy, and the news."""
    (rule,) = re.findall(r"^ACL SETUSER (\S+ .*)$", PAGE.read_text(), re.MULTILINE)
    stored: dict[str, str] = {}
    with server() as node:
        with node.client() as admin:
            admin.execute_command("ACL", "SETUSER", *rule.split())
        tier = Shared(node.url.replace("redis://", "redis://shop_cache:change-me@"), **PATIENT)
        lazy = Lazy(load=lambda key: Loaded(key, tags=("all",)), ttl=60)
        through = WriteThrough(load=stored.get, store=stored.__setitem__, ttl=60)
        options: dict[str, Any] = {"tiers": [tier], "namespace": "shop"}
        with (
            Cache("lazy", str, strategy=lazy, **options) as loads,
            Cache("plain", str, strategy=TTL(ttl=60, sliding=True), **options) as plain,
            Cache("through", str, strategy=through, **options) as writes,
        ):
            assert (loads.get("a"), loads.lookup("a").tier) == ("a", "shared")
            assert loads.get_many(["a", "b"]) == {"a": "a", "b": "b"}
            loads.expire("a")
            loads.invalidate_many(["a", "b"])
            loads.get("a")
            loads.invalidate_tag("all")
            assert loads.lookup("a").tier == "loader"
            loads.clear()
            plain.set("a", "1")
            assert plain.get("a") == "1"
            plain.delete("a")
            writes.put("a", "1")
            assert writes.lookup("a").tier == "shared"
            assert all(cache.status()["shared_down"] == 0 for cache in (loads, plain, writes))
            until(lambda: loads.tier.ear.live)


@pytest.mark.parametrize("policy", ["volatile-lfu", "volatile-lru", "volatile-ttl", "allkeys-lru", "allkeys-random"])
def test_floors_are_evicted_all_or_none(policy: str) -> None:
    """Either every invalidation is still known, or another generation is open."""
    with server("--maxmemory", "4mb", "--maxmemory-policy", policy) as node, node.client() as admin:
        with Cache("c", bytes, strategy=TTL(ttl=600), tiers=[Shared(node.url, **PATIENT)]) as cache:
            cache.invalidate_many(range(FLOORS))
            account = "regionkit:rk:cache:c:account"
            generation = admin.hget(account, "g")
            number = 0
            while admin.info("stats")["evicted_keys"] < 1000:
                admin.set(f"other:{number}", b"x" * 1000, ex=600)
                number += 1
                assert number < 100_000
            look = admin.pipeline(transaction=True)  # the cache itself may open another generation at any moment
            names, there, now = (
                look.hkeys(account).exists(account, "regionkit:rk:cache:c:ends").hget(account, "g").execute()
            )
            intact = there == 2 and now == generation
            assert intact or policy.startswith("allkeys")
            assert not intact or sum(name.startswith(b"f") for name in names) == FLOORS
            cache.invalidate("one more")
            same = admin.hget(account, "g") == generation
            assert same == intact or (intact and policy.startswith("allkeys"))  # this step may have pushed it out


def test_a_full_server_takes_invalidations_only() -> None:
    """Nothing is stored; what is invalidated goes, also by a process whose stores were refused before."""
    with server("--maxmemory", "3mb", "--maxmemory-policy", "noeviction") as node, node.client() as admin:
        loads: list[str] = []

        def load(key: str) -> int:
            loads.append(key)
            return len(loads)

        with Cache("c", int, strategy=Lazy(load=load, ttl=600), tiers=[Shared(node.url, **PATIENT)]) as cache:
            assert cache.get("a") == 1
            admin.config_set("maxmemory", "1")
            assert [cache.get("b") for _ in range(5)] == [2, 3, 4, 5, 6]
            assert cache.get("a") == 1
            cache.invalidate("a")
            assert admin.exists("regionkit:rk:cache:c:v:sa") == 0
            assert cache.get("a") == 7
            admin.config_set("maxmemory", "0")
            assert (cache.get("a"), cache.get("a")) == (8, 8)


@pytest.mark.parametrize("how", ["restart", "flush"])
def test_what_stood_there_before_is_not_served(how: str) -> None:
    """After a restart that brought everything back, and after FLUSHALL."""
    with server("--appendonly", "yes", "--appendfsync", "always") as node, node.client() as admin:
        truth = {"a": 1}
        with Cache("c", int, strategy=Lazy(load=truth.get, ttl=600), tiers=[Shared(node.url, **PATIENT)]) as cache:
            assert (cache.get("a"), cache.lookup("a").tier) == (1, "shared")
            truth["a"] = 2
            if how == "restart":
                node.kill()
                node.start()
                assert admin.exists("regionkit:rk:cache:c:v:sa") == 1
            else:
                admin.flushall()
            until(lambda: cache.get("a") == 2)
