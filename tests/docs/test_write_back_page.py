"""What the page on write-back says of modes, accounts, servers and crash points."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fix_servers import entered
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine

from regionkit.caching import Cache, Shared, SqlSink, WriteBack
from regionkit.caching.back.modes import MODES
from regionkit.errors import ConfigurationError
from regionkit.testing import servers

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "write-back.md").read_text()
CRASH_POINTS = (ROOT / "docs" / "how-to" / "testing.md").read_text()


@pytest.fixture
def sink(tmp_path: Path) -> Any:
    table = Table(
        "rows",
        MetaData(),
        Column("id", String(64), primary_key=True),
        Column("name", String(64), nullable=False),
        Column("rk_ver", BigInteger, nullable=False, server_default="0"),
    )
    engine = create_engine(f"sqlite:///{tmp_path}/rows.db")
    table.metadata.create_all(engine)
    yield SqlSink(engine, table, namespace="shop")
    engine.dispose()


def cache_of(sink: Any, url: str, mode: str, **options: Any) -> Cache[dict[str, Any]]:
    strategy = WriteBack(sink=sink, durability=mode, ttl=300, **options)
    return Cache("rows", dict, strategy=strategy, tiers=[Shared(url, timeout=5.0)], namespace="shop")


def test_the_modes_of_the_page_are_those_of_the_code() -> None:
    """Each, in their order."""
    section = PAGE.partition("## Durability")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE) == list(MODES)


def test_the_crash_points_of_the_page_are_those_of_the_code() -> None:
    """All that write-back has."""
    found = set()
    for path in (ROOT / "regionkit" / "caching" / "back").rglob("*_async.py"):
        found |= set(re.findall(r"crash_point\(\"([\w.-]+)\"\)", path.read_text()))
    assert found == set(re.findall(r"^\| `((?:write-back|sink)\.\w+)` \|", CRASH_POINTS, re.MULTILINE))


@pytest.mark.redis
def test_the_account_of_the_page_is_enough(sink: Any) -> None:
    """Every verb; and the server lets itself be asked how durable it is."""
    (rule,) = re.findall(r"^ACL SETUSER (\S+ .*)$", PAGE, re.MULTILINE)
    with ExitStack() as stack:
        node = entered(stack, servers.redis(settings=["--appendonly", "yes"])).nodes[0]
        with node.client() as admin:
            admin.execute_command("ACL", "SETUSER", *rule.split())
        url = node.url.replace("redis://", "redis://shop_cache:change-me@")
        with cache_of(sink, url, "aof-everysec", attempts=1) as cache:
            cache.create_tables()
            with cache.flusher():
                assert cache.put("a", {"name": "1"}).durable_in == "redis-aof-everysec"
            cache.update("a", lambda now: {"name": str(now)[:9]})
            cache.delete("b")
            cache.put("bad", {"name": None})
            assert cache.flush(timeout=60.0).clean
            assert ([one.key for one in cache.parked()], cache.dirty(), cache.retry()) == (["bad"], [], 1)
            cache.flush(timeout=60.0)
            assert (cache.discard("bad"), cache.buffer().parked, cache.status()["shared_down"]) == (True, 0, 0)


@pytest.mark.redis
def test_what_the_page_says_of_memory(sink: Any) -> None:
    """A policy that evicts what is dirty is refused; a server without memory is a full buffer."""
    with ExitStack() as stack:
        node = entered(stack, servers.redis()).nodes[0]
        with node.client() as admin, cache_of(sink, node.url, "memory") as cache:
            cache.create_tables()
            admin.config_set("maxmemory-policy", "allkeys-lru")
            with pytest.raises(ConfigurationError, match="evicted"):
                cache.put("a", {"name": "1"})
            for policy in ("volatile-lfu", "noeviction"):
                admin.config_set("maxmemory-policy", policy)
                assert cache.put("a", {"name": policy}).durable_in == "redis-memory"
            admin.config_set("maxmemory", "1")
            assert cache.put("b", {"name": "2"}).durable_in == "table"
            assert cache.get("a") == {"name": "noeviction"}
