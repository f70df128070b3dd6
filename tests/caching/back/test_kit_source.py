# Generated from test_kit_source_async.py by scripts/twins.py. Do not edit.
"""Write-back in a kit: one buffer in the home of the data, rows written by the kit's routing, over embedded regions that lag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine, text
from waiting import seen

from regionkit import (
    Endpoint,
    Hashed,
    RedisStore,
    Region,
    RegionKit,
    Residency,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
)
from regionkit.caching import (
    CassandraSink,
    Change,
    Lazy,
    Local,
    MongoSink,
    Shared,
    SqlLogSink,
    SqlSink,
    WriteBack,
)
from regionkit.embedded import SqliteRegions
from regionkit.errors import Backpressure, ConfigurationError, ResidencyViolation, UsageError

IS_ASYNC = False
US, KR = "us-east-1", "ap-northeast-2"
TABLE = Table(
    "profiles",
    MetaData(),
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("rk_ver", BigInteger, nullable=False, server_default="0"),
)
DDL = "CREATE TABLE IF NOT EXISTS profiles (id TEXT PRIMARY KEY, name TEXT NOT NULL, rk_ver BIGINT NOT NULL DEFAULT 0)"
ROW = text("SELECT name FROM profiles WHERE id = :id")


@pytest.fixture
def regions(data_path: Path) -> Iterator[SqliteRegions]:
    """Two regions; the copy lags as the test says."""
    with SqliteRegions(data_path, store="users", primary=US, replicas=[KR], lag=0.0) as made:
        yield made


class Rig:
    """A kit in one region, with a write-back cache over the store, whose buffer's server stands in the US."""

    def __init__(self, regions: SqliteRegions, redis: Any, local: str, **options: Any) -> None:
        described = regions.topology
        store = RedisStore("cache", endpoints=[Endpoint(US, Role.PRIMARY, redis.primary.url)])
        topology = Topology(
            described.namespace, regions=described.regions, stores=[*described.stores, store], control="users"
        )
        self.kit = RegionKit(topology, local=local)
        sink = SqlSink(self.kit, TABLE, store="users", namespace=described.namespace)
        strategy = WriteBack(sink=sink, durability="memory", ttl=300, **options)
        tiers = [Local(), Shared("cache", timeout=5.0)]
        self.cache = self.kit.cache("users", dict, store="users", strategy=strategy, tiers=tiers)

    def __enter__(self) -> Rig:
        seen(self.kit)
        with self.kit.session() as session, session.write("users", core=True) as db:
            db.execute(text(DDL))
        self.kit.create_tables()
        return self

    def __exit__(self, *_: object) -> None:
        self.kit.close()


def owners_row(rig: Rig, key: str) -> str | None:
    """Read where writes go."""
    with rig.kit.session() as session, session.write("users", core=True) as db:
        return (db.execute(ROW, {"id": key})).scalar()  # type: ignore[no-any-return]


def test_a_value_that_is_dirty_is_seen_in_all_regions(regions: SqliteRegions, redis_server: Any) -> None:
    """Put in either; flushed from the region that does not own the data; news reach the other's memory."""
    with Rig(regions, redis_server, US) as here, Rig(regions, redis_server, KR) as there:
        regions.lag = 30.0
        there.cache.put("a", {"name": "one"})
        assert here.cache.get("a") == {"name": "one"}
        here.cache.put("a", {"name": "two"})
        assert there.cache.get("a", max_stale=0.0) == {"name": "two"}
        assert owners_row(here, "a") is None
        assert (there.cache.flush()).clean
        assert owners_row(here, "a") == "two"
        loaded = there.cache.get("a", refresh=True)
        assert loaded is not None and loaded["name"] == "two"


def test_a_session_that_has_flushed_sees_the_row(regions: SqliteRegions, redis_server: Any) -> None:
    """Here and by its bookmark in another region, whose copy lags; so does one whose put was written through."""
    with (
        Rig(regions, redis_server, US, max_dirty=1, on_full=("write-through",)) as here,
        Rig(regions, redis_server, KR) as there,
    ):
        regions.lag = 30.0
        with here.kit.session() as session:
            here.cache.put("a", {"name": "one"})
            assert (here.cache.put("b", {"name": "through"})).durable_in == "table"
            through = session.bookmark()
            assert (here.cache.flush("a")).clean
            flushed = session.bookmark()
        for bookmark, key, name in ((through, "b", "through"), (flushed, "a", "one")):
            with there.kit.session(bookmark=bookmark) as session, session.read("users", core=True) as db:
                assert (db.execute(ROW, {"id": key})).scalar() == name


def appended(db: Any, changes: list[Change]) -> None:
    """The sink of log mode: each name behind those before."""
    for change in changes:
        said = {"id": change.key, "name": change.value["name"]}  # type: ignore[index]
        added = db.execute(text("UPDATE profiles SET name = name || :name WHERE id = :id"), said)
        if not added.rowcount:
            db.execute(text("INSERT INTO profiles (id, name) VALUES (:id, :name)"), said)


def test_a_log_goes_through_the_kit_and_follows_a_promotion(regions: SqliteRegions, redis_server: Any) -> None:
    """`create_tables()` of the kit makes what the sink keeps; the session has seen what was flushed."""
    rigs = [Rig(regions, redis_server, local) for local in (US, KR)]
    for rig in rigs:
        rig.cache.close()
        sink = SqlLogSink(rig.kit, appended, store="users", namespace=regions.topology.namespace)
        strategy = WriteBack(sink=sink, durability="memory", ttl=300, coalesce=False)
        rig.cache = rig.kit.cache("log", dict, store="users", strategy=strategy, tiers=[Shared("cache", timeout=5.0)])
    with rigs[0] as here, rigs[1] as there:
        for name in "abc":
            there.cache.put("k", {"name": name})
        with there.kit.session() as session:
            assert (there.cache.flush()).clean
            with session.read("users", core=True) as db:
                assert (db.execute(ROW, {"id": "k"})).scalar() == "abc"
        here.cache.put("k", {"name": "d"})
        seen(there.kit)
        regions.kill(US)
        regions.promote(KR)
        there.cache.put("k", {"name": "e"})
        assert (there.cache.flush(timeout=30.0)).clean
        assert owners_row(there, "k") == "abcde"


def test_rows_follow_a_promotion(regions: SqliteRegions, redis_server: Any) -> None:
    """What was dirty is written to the new owner; the buffer stays where it is."""
    with Rig(regions, redis_server, US) as here, Rig(regions, redis_server, KR) as there:
        here.cache.put("a", {"name": "one"})
        assert (here.cache.flush()).clean
        here.cache.put("a", {"name": "two"})
        seen(there.kit)
        regions.lag = 0.0
        regions.kill(US)
        regions.promote(KR)
        assert there.cache.get("a") == {"name": "two"}
        assert (there.cache.flush(timeout=30.0)).clean
        assert owners_row(there, "a") == "two"
        there.cache.put("a", {"name": "three"})
        assert (there.cache.flush(timeout=30.0)).clean
        assert owners_row(there, "a") == "three"


@pytest.mark.parametrize("server", ["postgresql", "mongo", "cassandra"])
def test_rows_are_written_through_the_kit_on_each_server(
    server: str, request: pytest.FixtureRequest, redis_server: Any
) -> None:
    """Put in a region that does not own the data, flushed there, loaded by another kit. Without a primary home= says where."""
    rig: Any = request.getfixturevalue(f"{server}_store_rig")
    described = rig.topology()
    home_region = next(name for name in (US, "eu-west-1") if name in [region.name for region in described.regions])
    places = [Endpoint(home_region, Role.PRIMARY, redis_server.primary.url)]
    stores = [*described.stores, RedisStore("cache", endpoints=places)]
    topology = Topology(described.namespace, regions=described.regions, stores=stores, control="orders")
    if server == "cassandra":
        columns = "id text PRIMARY KEY, name text, rk_ver bigint, rk_gone timestamp"
        rig.cluster.ddl(f"CREATE TABLE IF NOT EXISTS profiles ({columns})", keyspace=rig.keyspace)

    def cache_of(kit: RegionKit, **home: Any) -> Any:
        sinks: dict[str, Any] = {
            "postgresql": lambda: SqlSink(kit, TABLE, store="orders"),
            "mongo": lambda: MongoSink(kit, "profiles", store="orders"),
            "cassandra": lambda: CassandraSink(kit, "profiles", store="orders"),
        }
        strategy = WriteBack(sink=sinks[server](), durability="memory", ttl=300)
        tiers = [Shared("cache", timeout=5.0)]
        return kit.cache("profiles", dict, store="orders", strategy=strategy, tiers=tiers, **home)

    with RegionKit(topology, local=KR) as there, RegionKit(topology, local=home_region) as here:
        if server == "postgresql":
            home: dict[str, Any] = {}
            with there.session() as session, session.write("orders", core=True) as db:
                db.execute(text(DDL))
        else:
            home = {"home": home_region}
            with pytest.raises(ConfigurationError, match="has no home"):
                cache_of(there)
        cache, other = cache_of(there, **home), cache_of(here, **home)
        there.create_tables()
        with there.session():
            cache.put("a", {"name": "one"})
            assert other.get("a") == {"name": "one"}
            assert (cache.flush(timeout=30.0)).clean
        assert (other.get("a", refresh=True))["name"] == "one"
        other.delete("a")
        assert (other.flush(timeout=30.0)).clean
        assert cache.get("a", refresh=True) is None


def test_a_sink_that_writes_past_the_kit_is_refused(regions: SqliteRegions, redis_server: Any) -> None:
    """Nobody would fence it, or ask residency. So is a session, and home= of another strategy."""
    with Rig(regions, redis_server, US) as rig:
        plain = create_engine("sqlite://") if not IS_ASYNC else None
        for given in (*([plain] if plain is not None else []), rig.kit):
            store = {"store": "cache"} if given is rig.kit else {}
            try:
                sink = SqlSink(given, TABLE, **store)  # type: ignore[arg-type]
            except ConfigurationError:
                continue  # a Redis store is no SQL
            strategy = WriteBack(sink=sink, durability="memory", ttl=300)
            with pytest.raises(ConfigurationError, match="past the kit"):
                rig.kit.cache("other", dict, store="users", strategy=strategy, tiers=[Shared("cache")])
            sink.close()
        with rig.kit.session() as session:
            with pytest.raises(UsageError, match=r"flush\(key\) first"):
                rig.cache.get("a", session=session)
        lazy = Lazy(load=lambda key, store: None, ttl=60)
        with pytest.raises(ConfigurationError, match="home="):
            rig.kit.cache("other", dict, store="users", strategy=lazy, home=US)
        told = rig.cache.explain()
        assert any("share one buffer" in promise for promise in told.promises)


def test_the_home_is_one_that_may_have_the_data(data_path: Path, redis_server: Any) -> None:
    """Named by the store's primary, or by home=; residency is asked for it; keys of partitioned stores have their own."""
    url = f"sqlite+aiosqlite:///{data_path}/a.db" if IS_ASYNC else f"sqlite:///{data_path}/a.db"
    endpoints = [Endpoint("seoul", Role.PRIMARY, url)]
    kept = SqlStore("users", residency=Residency(allow=["KR"]), endpoints=endpoints)
    parted = SqlStore(
        "carts",
        strategy=WritePartitioning(Hashed(["seoul", "oregon"])),
        endpoints=[*endpoints, Endpoint("oregon", Role.PRIMARY, url.replace("a.db", "b.db"))],
    )
    places = [Endpoint(name, Role.PRIMARY, redis_server.primary.url) for name in ("seoul",)]
    topology = Topology(
        regions=[Region("seoul", "KR"), Region("oregon", "US")],
        stores=[kept, parted, RedisStore("cache", endpoints=places)],
        control="users",
    )
    with RegionKit(topology, local="seoul") as kit:
        sink = SqlSink(kit, TABLE, store="users")
        strategy = WriteBack(sink=sink, durability="memory", ttl=300)
        with pytest.raises(ResidencyViolation):
            kit.cache("users", dict, store="users", strategy=strategy, tiers=[Shared("cache")], home="oregon")
        carts = WriteBack(sink=SqlSink(kit, TABLE, store="carts"), durability="memory", ttl=300)
        with pytest.raises(ConfigurationError, match="each key of its store has one"):
            kit.cache("carts", dict, store="carts", strategy=carts, tiers=[Shared("cache")], home="seoul")
        made = kit.cache("users", dict, store="users", strategy=strategy, tiers=[Shared("cache")])
        with pytest.raises((Backpressure, ConfigurationError)):
            made.put("a", {"name": "no table yet"})
