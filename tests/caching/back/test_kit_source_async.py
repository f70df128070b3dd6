"""Write-back in a kit: one buffer in the home of the data, rows written by the kit's routing, over embedded regions that lag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine, text
from waiting_async import seen

from regionkit import (
    AsyncRegionKit,
    Endpoint,
    Hashed,
    RedisStore,
    Region,
    Residency,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
)
from regionkit.caching import (
    AsyncCassandraSink,
    AsyncMongoSink,
    AsyncSqlLogSink,
    AsyncSqlSink,
    Change,
    Lazy,
    Local,
    Shared,
    WriteBack,
)
from regionkit.embedded import SqliteRegions
from regionkit.errors import Backpressure, ConfigurationError, ResidencyViolation, UsageError

IS_ASYNC = True
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
        self.kit = AsyncRegionKit(topology, local=local)
        sink = AsyncSqlSink(self.kit, TABLE, store="users", namespace=described.namespace)
        strategy = WriteBack(sink=sink, durability="memory", ttl=300, **options)
        tiers = [Local(), Shared("cache", timeout=5.0)]
        self.cache = self.kit.cache("users", dict, store="users", strategy=strategy, tiers=tiers)

    async def __aenter__(self) -> Rig:
        await seen(self.kit)
        async with self.kit.session() as session, session.write("users", core=True) as db:
            await db.execute(text(DDL))
        await self.kit.create_tables()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kit.close()


async def owners_row(rig: Rig, key: str) -> str | None:
    """Read where writes go."""
    async with rig.kit.session() as session, session.write("users", core=True) as db:
        return (await db.execute(ROW, {"id": key})).scalar()  # type: ignore[no-any-return]


async def test_a_value_that_is_dirty_is_seen_in_all_regions(regions: SqliteRegions, redis_server: Any) -> None:
    """Put in either; flushed from the region that does not own the data; news reach the other's memory."""
    async with Rig(regions, redis_server, US) as here, Rig(regions, redis_server, KR) as there:
        regions.lag = 30.0
        await there.cache.put("a", {"name": "one"})
        assert await here.cache.get("a") == {"name": "one"}
        await here.cache.put("a", {"name": "two"})
        assert await there.cache.get("a", max_stale=0.0) == {"name": "two"}
        assert await owners_row(here, "a") is None
        assert (await there.cache.flush()).clean
        assert await owners_row(here, "a") == "two"
        loaded = await there.cache.get("a", refresh=True)
        assert loaded is not None and loaded["name"] == "two"


async def test_a_session_that_has_flushed_sees_the_row(regions: SqliteRegions, redis_server: Any) -> None:
    """Here and by its bookmark in another region, whose copy lags; so does one whose put was written through."""
    async with (
        Rig(regions, redis_server, US, max_dirty=1, on_full=("write-through",)) as here,
        Rig(regions, redis_server, KR) as there,
    ):
        regions.lag = 30.0
        async with here.kit.session() as session:
            await here.cache.put("a", {"name": "one"})
            assert (await here.cache.put("b", {"name": "through"})).durable_in == "table"
            through = await session.bookmark()
            assert (await here.cache.flush("a")).clean
            flushed = await session.bookmark()
        for bookmark, key, name in ((through, "b", "through"), (flushed, "a", "one")):
            async with there.kit.session(bookmark=bookmark) as session, session.read("users", core=True) as db:
                assert (await db.execute(ROW, {"id": key})).scalar() == name


async def appended(db: Any, changes: list[Change]) -> None:
    """The sink of log mode: each name behind those before."""
    for change in changes:
        said = {"id": change.key, "name": change.value["name"]}  # type: ignore[index]
        added = await db.execute(text("UPDATE profiles SET name = name || :name WHERE id = :id"), said)
        if not added.rowcount:
            await db.execute(text("INSERT INTO profiles (id, name) VALUES (:id, :name)"), said)


async def test_a_log_goes_through_the_kit_and_follows_a_promotion(regions: SqliteRegions, redis_server: Any) -> None:
    """`create_tables()` of the kit makes what the sink keeps; the session has seen what was flushed."""
    rigs = [Rig(regions, redis_server, local) for local in (US, KR)]
    for rig in rigs:
        await rig.cache.close()
        sink = AsyncSqlLogSink(rig.kit, appended, store="users", namespace=regions.topology.namespace)
        strategy = WriteBack(sink=sink, durability="memory", ttl=300, coalesce=False)
        rig.cache = rig.kit.cache("log", dict, store="users", strategy=strategy, tiers=[Shared("cache", timeout=5.0)])
    async with rigs[0] as here, rigs[1] as there:
        for name in "abc":
            await there.cache.put("k", {"name": name})
        async with there.kit.session() as session:
            assert (await there.cache.flush()).clean
            async with session.read("users", core=True) as db:
                assert (await db.execute(ROW, {"id": "k"})).scalar() == "abc"
        await here.cache.put("k", {"name": "d"})
        await seen(there.kit)
        regions.kill(US)
        regions.promote(KR)
        await there.cache.put("k", {"name": "e"})
        assert (await there.cache.flush(timeout=30.0)).clean
        assert await owners_row(there, "k") == "abcde"


async def test_rows_follow_a_promotion(regions: SqliteRegions, redis_server: Any) -> None:
    """What was dirty is written to the new owner; the buffer stays where it is."""
    async with Rig(regions, redis_server, US) as here, Rig(regions, redis_server, KR) as there:
        await here.cache.put("a", {"name": "one"})
        assert (await here.cache.flush()).clean
        await here.cache.put("a", {"name": "two"})
        await seen(there.kit)
        regions.lag = 0.0
        regions.kill(US)
        regions.promote(KR)
        assert await there.cache.get("a") == {"name": "two"}
        assert (await there.cache.flush(timeout=30.0)).clean
        assert await owners_row(there, "a") == "two"
        await there.cache.put("a", {"name": "three"})
        assert (await there.cache.flush(timeout=30.0)).clean
        assert await owners_row(there, "a") == "three"


@pytest.mark.parametrize("server", ["postgresql", "mongo", "cassandra"])
async def test_rows_are_written_through_the_kit_on_each_server(
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

    def cache_of(kit: AsyncRegionKit, **home: Any) -> Any:
        sinks: dict[str, Any] = {
            "postgresql": lambda: AsyncSqlSink(kit, TABLE, store="orders"),
            "mongo": lambda: AsyncMongoSink(kit, "profiles", store="orders"),
            "cassandra": lambda: AsyncCassandraSink(kit, "profiles", store="orders"),
        }
        strategy = WriteBack(sink=sinks[server](), durability="memory", ttl=300)
        tiers = [Shared("cache", timeout=5.0)]
        return kit.cache("profiles", dict, store="orders", strategy=strategy, tiers=tiers, **home)

    async with AsyncRegionKit(topology, local=KR) as there, AsyncRegionKit(topology, local=home_region) as here:
        if server == "postgresql":
            home: dict[str, Any] = {}
            async with there.session() as session, session.write("orders", core=True) as db:
                await db.execute(text(DDL))
        else:
            home = {"home": home_region}
            with pytest.raises(ConfigurationError, match="has no home"):
                cache_of(there)
        cache, other = cache_of(there, **home), cache_of(here, **home)
        await there.create_tables()
        async with there.session():
            await cache.put("a", {"name": "one"})
            assert await other.get("a") == {"name": "one"}
            assert (await cache.flush(timeout=30.0)).clean
        assert (await other.get("a", refresh=True))["name"] == "one"
        await other.delete("a")
        assert (await other.flush(timeout=30.0)).clean
        assert await cache.get("a", refresh=True) is None


async def test_a_sink_that_writes_past_the_kit_is_refused(regions: SqliteRegions, redis_server: Any) -> None:
    """Nobody would fence it, or ask residency. So is a session, and home= of another strategy."""
    async with Rig(regions, redis_server, US) as rig:
        plain = create_engine("sqlite://") if not IS_ASYNC else None
        for given in (*([plain] if plain is not None else []), rig.kit):
            store = {"store": "cache"} if given is rig.kit else {}
            try:
                sink = AsyncSqlSink(given, TABLE, **store)  # type: ignore[arg-type]
            except ConfigurationError:
                continue  # a Redis store is no SQL
            strategy = WriteBack(sink=sink, durability="memory", ttl=300)
            with pytest.raises(ConfigurationError, match="past the kit"):
                rig.kit.cache("other", dict, store="users", strategy=strategy, tiers=[Shared("cache")])
            await sink.close()
        async with rig.kit.session() as session:
            with pytest.raises(UsageError, match=r"flush\(key\) first"):
                await rig.cache.get("a", session=session)
        lazy = Lazy(load=lambda key, store: None, ttl=60)
        with pytest.raises(ConfigurationError, match="home="):
            rig.kit.cache("other", dict, store="users", strategy=lazy, home=US)
        told = rig.cache.explain()
        assert any("share one buffer" in promise for promise in told.promises)


async def test_the_home_is_one_that_may_have_the_data(data_path: Path, redis_server: Any) -> None:
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
    async with AsyncRegionKit(topology, local="seoul") as kit:
        sink = AsyncSqlSink(kit, TABLE, store="users")
        strategy = WriteBack(sink=sink, durability="memory", ttl=300)
        with pytest.raises(ResidencyViolation):
            kit.cache("users", dict, store="users", strategy=strategy, tiers=[Shared("cache")], home="oregon")
        carts = WriteBack(sink=AsyncSqlSink(kit, TABLE, store="carts"), durability="memory", ttl=300)
        with pytest.raises(ConfigurationError, match="each key of its store has one"):
            kit.cache("carts", dict, store="carts", strategy=carts, tiers=[Shared("cache")], home="seoul")
        made = kit.cache("users", dict, store="users", strategy=strategy, tiers=[Shared("cache")])
        with pytest.raises((Backpressure, ConfigurationError)):
            await made.put("a", {"name": "no table yet"})
