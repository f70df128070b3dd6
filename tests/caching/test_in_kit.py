# Generated from test_in_kit_async.py by scripts/twins.py. Do not edit.
"""Caches of a kit: fills with versions, sessions, other regions, residency; over embedded regions that lag."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from waiting import seen

from regionkit import Endpoint, RedisStore, Region, RegionKit, Residency, Role, SqlStore, Topology
from regionkit.caching import TTL, Lazy, Local, Shared, WriteThrough
from regionkit.caching.steps import BATCH
from regionkit.core.concurrency import sleep
from regionkit.embedded import SqliteRegions
from regionkit.errors import ConfigurationError, ResidencyViolation, UsageError
from regionkit.topology import CacheTiers

US, KR = "us-east-1", "ap-northeast-2"


@pytest.fixture
def regions(data_path: Path) -> Iterator[SqliteRegions]:
    """Two regions; the copy lags as the test says."""
    with SqliteRegions(data_path, store="users", primary=US, replicas=[KR], lag=0.0) as made:
        yield made


class Rig:
    """A kit in one region, with a cache of the table `users`."""

    def __init__(self, regions: SqliteRegions, local: str, **options: Any) -> None:
        self.loads = 0
        self.kit = RegionKit(regions.topology, local=local)
        strategy = Lazy(load=self.load, ttl=300, negative_ttl=60)
        self.cache = self.kit.cache("users", int, store="users", **({"strategy": strategy} | options))

    def load(self, key: str, store: Any) -> int | None:
        self.loads += 1
        with store.read(core=True) as db:
            found = db.execute(text("SELECT n FROM users WHERE id = :id"), {"id": key})
            return found.scalar()  # type: ignore[no-any-return]

    def write(self, session: Any, key: str, n: int) -> None:
        """As the application does."""
        with session.write("users", core=True) as db:
            db.execute(text("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, n INTEGER)"))
            db.execute(text("INSERT OR REPLACE INTO users VALUES (:id, :n)"), {"id": key, "n": n})

    def __enter__(self) -> Rig:
        seen(self.kit)
        with self.kit.session() as session:
            self.write(session, "a", 1)
        return self

    def __exit__(self, *_: object) -> None:
        self.kit.close()

    def until(self, key: str, expected: int | None, within: float = 20.0) -> None:
        """Wait until the cache gives a value to somebody without a session."""
        end = time.monotonic() + within
        while self.cache.get(key, session=False) != expected:
            assert time.monotonic() < end, f"{key} never became {expected}"
            sleep(0.02)


def test_a_load_carries_the_version_of_what_it_read(regions: SqliteRegions) -> None:
    """And is kept."""
    with Rig(regions, US) as rig:
        assert rig.cache.get("a", session=False) == 1
        found = rig.cache.lookup("a", session=False)
        assert (found.value, found.tier, rig.loads) == (1, "local", 1)
        assert len(found.version) == 27


def test_one_key_through_a_loader_of_many(regions: SqliteRegions) -> None:
    """It gets the keys and the store, and what it reads carries a version."""

    def load_many(keys: Any, store: Any) -> dict[Any, int]:
        with store.read(core=True) as db:
            found = db.execute(text("SELECT id, n FROM users"))
            return {id: n for id, n in found if id in keys}

    with Rig(regions, US, strategy=Lazy(load_many=load_many, ttl=300)) as rig:
        assert rig.cache.get("a", session=False) == 1
        assert len((rig.cache.lookup("a", session=False)).version) == 27


def test_a_session_sees_what_it_wrote(regions: SqliteRegions) -> None:
    """The cached value is older than the write, and is not given to the session that made it."""
    with Rig(regions, US) as rig:
        assert rig.cache.get("a", session=False) == 1
        with rig.kit.session() as session:
            rig.write(session, "a", 2)
            assert rig.cache.get("a") == 2


def test_a_session_in_another_region_sees_it_by_bookmark(regions: SqliteRegions) -> None:
    """Written in one region, read through the cache of another, whose copy lags."""
    with Rig(regions, US) as here, Rig(regions, KR) as there:
        there.until("a", 1)
        regions.lag = 1.0
        with here.kit.session() as session:
            here.write(session, "a", 2)
            bookmark = session.bookmark()
        with there.kit.session(bookmark=bookmark):
            assert there.cache.get("a") == 2


def test_a_session_has_seen_what_the_cache_gave_it(regions: SqliteRegions) -> None:
    """A value of the newest version, then a read through routing: it does not go back in time."""
    with Rig(regions, US) as here, Rig(regions, KR) as there:
        there.until("a", 1)
        regions.lag = 30.0
        with here.kit.session() as session:
            here.write(session, "a", 2)
            bookmark = session.bookmark()
        with there.kit.session(bookmark=bookmark):
            assert there.cache.get("a") == 2
        with there.kit.session() as fresh:
            if there.cache.get("a") == 2:
                with fresh.read("users", core=True) as db:
                    found = (db.execute(text("SELECT n FROM users WHERE id = 'a'"))).scalar()
                assert found == 2


def test_an_invalidation_wins_over_a_copy_that_lags(regions: SqliteRegions) -> None:
    """The copy of this region does not have the write yet: the owner is read, and what it says is kept."""
    with Rig(regions, US) as here, Rig(regions, KR) as there:
        there.until("a", 1)
        regions.lag = 3.0
        with here.kit.session() as session:
            here.write(session, "a", 2)
        there.cache.invalidate("a")
        assert there.cache.get("a", session=False) == 2
        loads = there.loads
        assert (there.cache.get("a", session=False), there.loads) == (2, loads)


def test_other_regions_hear_of_an_invalidation_by_its_row(regions: SqliteRegions) -> None:
    """It comes with the data."""
    with Rig(regions, US) as here, Rig(regions, KR) as there:
        there.until("a", 1)
        with here.kit.session() as session:
            here.write(session, "a", 2)
        here.cache.invalidate("a")
        there.until("a", 2)


def test_other_regions_hear_of_tags_and_of_clear(regions: SqliteRegions) -> None:
    """By rows, too."""
    with Rig(regions, US) as here, Rig(regions, KR) as there:
        for tell in (lambda: here.cache.invalidate_tag("org"), here.cache.clear):
            with here.kit.session() as session:
                here.write(session, "a", 1)
            here.cache.invalidate("a")
            there.until("a", 1)
            loads = there.loads
            tell()
            if tell == here.cache.clear:
                end = time.monotonic() + 20.0
                while there.loads == loads:
                    there.cache.get("a", session=False)
                    assert time.monotonic() < end
                    sleep(0.02)


def test_many_keys_are_told_by_rows_of_bounded_size(regions: SqliteRegions) -> None:
    """Each of a hundred names at most; the other region hears of all of them."""
    with Rig(regions, US) as here, Rig(regions, KR) as there:
        keys = ["a", *(f"k{number}" for number in range(2 * BATCH + 4))]
        there.until("a", 1)
        with here.kit.session() as session:
            here.write(session, "a", 2)
        here.cache.invalidate_many([*keys[1:], "a"])
        there.until("a", 2)
        with here.kit.session() as session, session.read("users", core=True) as db:
            found = db.execute(text(f"SELECT names FROM {regions.topology.namespace}_rk_cache_intent"))
            sizes = [len(msgspec.msgpack.decode(b64decode(names))) for (names,) in found]
        assert sorted(sizes, reverse=True)[:3] == [BATCH, BATCH, 5]


def test_a_put_in_one_region_is_seen_in_another(regions: SqliteRegions) -> None:
    """Write-through in a kit: the row of its intent tells the others."""

    def store(db: Any, key: str, value: int) -> None:
        db.execute(text("INSERT OR REPLACE INTO users VALUES (:id, :n)"), {"id": key, "n": value})

    def strategy(rig: list[Rig]) -> WriteThrough:
        return WriteThrough(load=lambda key, store: rig[0].load(key, store), store=store, ttl=300)

    first: list[Rig] = []
    second: list[Rig] = []
    with (
        Rig(regions, US, strategy=strategy(first)) as here,
        Rig(regions, KR, strategy=strategy(second)) as there,
    ):
        first.append(here)
        second.append(there)
        there.until("a", 1)
        here.cache.put("a", 5)
        assert here.cache.get("a", session=False) == 5
        there.until("a", 5)


def test_status_tells_of_caches(regions: SqliteRegions) -> None:
    """In numbers, and as a line."""
    with Rig(regions, US) as rig:
        rig.cache.get("a", session=False)
        rig.cache.get("a", session=False)
        status = rig.kit.status()
        assert (status.to_dict()["caches"]["users"]["loads"], rig.loads) == (1, 1)
        assert "cache users: 1 local and 0 shared hits, 1 loads" in str(status)


def test_a_cache_is_made_once_and_closed_with_its_kit(regions: SqliteRegions) -> None:
    """A second one of the name would not hear of the first one's writes at once."""
    with Rig(regions, US) as rig:
        with pytest.raises(ConfigurationError, match="already"):
            rig.kit.cache("users", int, store="users", strategy=TTL(ttl=60))
        cache = rig.cache
    with pytest.raises(UsageError, match="closed"):
        cache.get("a")


def test_residency_covers_cached_copies(data_path: Path) -> None:
    """A region that may not hold the data may not hold a copy of it in a cache."""
    store = SqlStore(
        "users",
        residency=Residency(allow=["KR"]),
        endpoints=[Endpoint("seoul", Role.PRIMARY, f"sqlite:///{data_path}/nowhere.db")],
    )
    topology = Topology(regions=[Region("seoul", "KR"), Region("oregon", "US")], stores=[store])
    with RegionKit(topology, local="oregon") as kit:
        with pytest.raises(ResidencyViolation, match="cached value is a copy"):
            kit.cache("users", int, store="users", strategy=TTL(ttl=60))


def test_what_cannot_be_a_shared_tier_is_refused(regions: SqliteRegions) -> None:
    """A store that is no Redis, a name outside of a kit."""
    with Rig(regions, US) as rig:
        with pytest.raises(ConfigurationError, match="not a Redis store"):
            rig.kit.cache("other", int, store="users", strategy=TTL(ttl=60), tiers=[Local(), Shared("users")])


def test_the_topology_says_which_tiers(regions: SqliteRegions, redis_server: Any) -> None:
    """`[caches.users]`: a Redis store of the kit with a primary in this region, and a local tier."""
    cache = RedisStore("cache", endpoints=[Endpoint(US, Role.PRIMARY, redis_server.primary.url)])
    described = regions.topology
    topology = Topology(
        described.namespace,
        regions=described.regions,
        stores=[*described.stores, cache],
        caches=[CacheTiers("users", "cache", {"max_items": 5})],
    )
    made: Any = SimpleNamespace(topology=topology)
    with Rig(made, US) as rig:
        assert rig.cache.get("a", session=False) == 1
        assert (rig.cache.local, rig.cache.shared) == (Local(max_items=5), Shared("cache"))
        assert rig.cache.counters.shared_down == 0
        assert rig.cache.tier.times(b"") is None


def test_an_invalidation_without_the_table_says_which_call_makes_it(regions: SqliteRegions) -> None:
    """This region is told all the same."""
    with Rig(regions, US) as rig:
        assert rig.cache.get("a") == 1
        with rig.kit.session() as session:
            rig.write(session, "a", 2)
            with session.write("users", core=True) as db:
                db.execute(text(f"DROP TABLE {regions.topology.namespace}_rk_cache_intent"))
        with pytest.raises(ConfigurationError, match=r"no table '\w+_rk_cache_intent'.*kit\.create_tables\(\)"):
            rig.cache.invalidate("a")
        assert rig.cache.get("a") == 2
