# Generated from test_homed_async.py by scripts/twins.py. Do not edit.
"""Write-back over a store whose keys have homes: a buffer in each, rows written there, one that is away."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fix_rig_partitions import HOMES
from sqlalchemy import BigInteger, Column, MetaData, String, Table, create_engine, select, text
from waiting import seen

from regionkit import (
    Endpoint,
    Intrinsic,
    RedisStore,
    Region,
    RegionKit,
    Role,
    SqlStore,
    Topology,
    WritePartitioning,
)
from regionkit.caching import (
    CallSink,
    Change,
    FileJournal,
    Loaded,
    Local,
    MongoSink,
    Shared,
    SqlLogSink,
    SqlSink,
    WriteBack,
)
from regionkit.caching.homed import HomedCache, homed_name
from regionkit.core.concurrency import sleep
from regionkit.errors import CacheError, ConfigurationError, UnknownHome, UsageError
from regionkit.events import BufferOpened

IS_ASYNC = False
SEOUL, OREGON = "seoul", "oregon"
TABLE = Table(
    "carts",
    MetaData(),
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("rk_ver", BigInteger, nullable=False, server_default="0"),
)
DDL = "CREATE TABLE carts (id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', rk_ver BIGINT NOT NULL DEFAULT 0)"


class Places:
    """Two homes: a database and a Redis server each."""

    def __init__(self, folder: Path, servers: dict[str, Any], *, together: bool = False) -> None:
        self.files = {home: folder / f"{home}.db" for home in (SEOUL, OREGON)}
        for file in self.files.values():
            with sqlite3.connect(file) as db:
                db.execute(DDL)
        driver = "sqlite+aiosqlite" if IS_ASYNC else "sqlite"
        homes = {home: SEOUL if together else home for home in self.files}
        partitions = {home: {"partitions": [f"p-{home}"]} if together else {} for home in homes}
        carts = [
            Endpoint(homes[home], Role.PRIMARY, f"{driver}:///{file}", **partitions[home])  # type: ignore[arg-type]
            for home, file in self.files.items()
        ]
        pattern = "^(?P<partition>p-[a-z]+):" if together else "^(?P<region>[a-z]+):"
        by = WritePartitioning(Intrinsic(pattern))
        places = [Endpoint(home, Role.PRIMARY, server.primary.url) for home, server in servers.items()]
        shared = RedisStore("cache", endpoints=places, strategy=WritePartitioning(Intrinsic("^(?P<region>[a-z]+):")))
        alone = RedisStore("cache", endpoints=places[:1])
        self.topology = Topology(
            regions=[Region(SEOUL, "KR"), Region(OREGON, "US")],
            stores=[SqlStore("carts", endpoints=carts, strategy=by), alone if together else shared],
            control="carts" if together else None,
        )

    def row(self, home: str, key: str) -> str | None:
        """As its database has it."""
        with sqlite3.connect(self.files[home]) as db:
            found = db.execute("SELECT name FROM carts WHERE id = ?", [key]).fetchone()
        return None if found is None else str(found[0])


def homed(kit: RegionKit, sink: Any = None, name: str = "carts", **options: Any) -> HomedCache[Any]:
    """The cache of a kit."""
    sink = sink or SqlSink(kit, TABLE, store="carts")
    tiers = [Local(), Shared("cache", timeout=2.0)]
    made: Any = kit.cache(
        name,
        dict,
        store="carts",
        strategy=WriteBack(sink=sink, durability="memory", ttl=300, write_timeout=2.0, **options),
        tiers=tiers,
    )
    return made  # type: ignore[no-any-return]


@pytest.fixture
def servers(own_redis: Callable[..., Any]) -> dict[str, Any]:
    return {SEOUL: own_redis(), OREGON: own_redis()}


@pytest.fixture
def places(data_path: Path, servers: dict[str, Any]) -> Iterator[Places]:
    yield Places(data_path, servers)


def test_a_put_is_buffered_and_written_in_the_home_of_its_key(places: Places, servers: dict[str, Any]) -> None:
    """Whichever region puts it; the other region's server has nothing of it."""
    with (
        RegionKit(places.topology, local=SEOUL) as here,
        RegionKit(places.topology, local=OREGON) as there,
    ):
        here.create_tables()
        ours, theirs = homed(here), homed(there)
        here.create_tables()
        ours.put("oregon:a", {"id": "oregon:a", "name": "one"})
        ours.put("seoul:a", {"id": "seoul:a", "name": "uno"})
        assert (theirs.get("oregon:a") or {})["name"] == "one"
        assert theirs.get_many(["oregon:a", "seoul:a", "seoul:none"]) == {
            "oregon:a": {"id": "oregon:a", "name": "one"},
            "seoul:a": {"id": "seoul:a", "name": "uno"},
        }
        assert sorted(theirs.dirty()) == ["oregon:a", "seoul:a"]
        assert [ours.by_home[home].dirty() for home in (SEOUL, OREGON)] == [["seoul:a"], ["oregon:a"]]
        assert (ours.buffer()).dirty == 2
        assert places.row(OREGON, "oregon:a") is None
        assert (ours.flush("oregon:a")).clean
        assert places.row(OREGON, "oregon:a") == "one" and places.row(SEOUL, "seoul:a") is None
        with there.session() as session:
            assert (theirs.flush()).clean
            assert all([session.seen_of("carts", home) for home in (SEOUL, OREGON)])
            bookmark = session.bookmark()
        with here.session(bookmark=bookmark) as session, session.read("carts", key="seoul:a", core=True) as db:
            assert (db.execute(select(TABLE.c.name).where(TABLE.c.id == "seoul:a"))).scalar() == "uno"
        assert places.row(SEOUL, "seoul:a") == "uno" and places.row(SEOUL, "oregon:a") is None
        assert (ours.get("oregon:a", refresh=True) or {})["name"] == "one"
        theirs.update("seoul:a", lambda now: {**(now or {}), "name": "due"})
        ours.delete("oregon:a")
        assert (ours.get("seoul:a", max_stale=0.0) or {})["name"] == "due"
        assert (ours.flush()).clean and places.row(OREGON, "oregon:a") is None
        assert places.row(SEOUL, "seoul:a") == "due"


def test_a_flusher_works_for_all_homes(places: Places) -> None:
    """Also from a region that is far from one; or for the homes that it is given. Each event is heard once."""
    with RegionKit(places.topology, local=SEOUL) as kit:
        cache = homed(kit, max_age=0.2)
        heard: list[Any] = []
        end = cache.subscribe(heard.append)
        kit.create_tables()
        with cache.flusher(drain=5.0):
            for home in (SEOUL, OREGON):
                cache.put(f"{home}:f", {"id": f"{home}:f", "name": home})
            for _ in range(200):
                if all(places.row(home, f"{home}:f") == home for home in (SEOUL, OREGON)):
                    break
                sleep(0.05)
            else:
                pytest.fail("not written")
        with cache.flusher(homes=[OREGON]):
            for home in (SEOUL, OREGON):
                cache.put(f"{home}:f", {"id": f"{home}:f", "name": "again"})
        assert (places.row(SEOUL, "seoul:f"), places.row(OREGON, "oregon:f")) == (SEOUL, "again")
        opened = [event.cache for event in heard if isinstance(event, BufferOpened)]
        assert sorted(opened) == sorted(one.name for one in cache.by_home.values())
        end()
        count = len(heard)
        cache.by_home[SEOUL].back._parts.open(anew=True)  # type: ignore[union-attr]
        assert len(heard) == count
        with pytest.raises(UsageError, match="no home 'mars'"):
            cache.flusher(homes=["mars"])


def test_a_home_that_is_away_stops_only_its_keys(places: Places, servers: dict[str, Any]) -> None:
    """Its server is dead when the flusher starts: the other home is flushed, and this one when it is back."""
    with RegionKit(places.topology, local=SEOUL) as kit:
        cache = homed(kit, max_age=0.2)
        kit.create_tables()
        cache.put("oregon:d", {"id": "oregon:d", "name": "one"})
        assert (cache.flush()).clean
        servers[OREGON].primary.stop()
        with cache.flusher(drain=5.0):
            cache.put("seoul:d", {"id": "seoul:d", "name": "one"})
            with pytest.raises(CacheError):
                cache.put("oregon:d", {"id": "oregon:d", "name": "two"})
            with pytest.raises(CacheError):
                cache.flush(timeout=1.0)
            assert places.row(SEOUL, "seoul:d") == "one"
            servers[OREGON].primary.start()
            for _ in range(100):
                try:
                    cache.put("oregon:d", {"id": "oregon:d", "name": "three"})
                    break
                except CacheError:
                    sleep(0.1)
            for _ in range(200):
                if places.row(OREGON, "oregon:d") == "three":
                    break
                sleep(0.05)
            else:
                pytest.fail("not written")
        for server in servers.values():
            server.primary.stop()
        with pytest.raises(CacheError):
            cache.flusher(drain=0.0).start()


def test_partitions_of_one_region_share_a_server(data_path: Path, servers: dict[str, Any]) -> None:
    """Their buffers do not meet: each has a name of its own, and its rows go to its database."""
    places = Places(data_path, {SEOUL: servers[SEOUL]}, together=True)
    with RegionKit(places.topology, local=SEOUL) as kit:
        cache = homed(kit)
        kit.create_tables()
        keys = {home: f"p-{home}:x" for home in (SEOUL, OREGON)}
        for home, key in keys.items():
            cache.put(key, {"id": key, "name": home})
        assert (cache.by_home[f"p-{OREGON}"].flush()).clean
        assert places.row(OREGON, keys[OREGON]) == OREGON and places.row(SEOUL, keys[SEOUL]) is None
        assert (cache.flush()).clean and places.row(SEOUL, keys[SEOUL]) == SEOUL
        told = cache.explain()
        assert told.cache == "carts" and any(homed_name("carts", f"p-{OREGON}") in promise for promise in told.promises)
        assert cache.status()["loads"] >= 0 and "carts" in kit.status().to_dict()["caches"]


def test_a_journal_is_of_each_home(places: Places, servers: dict[str, Any], data_path: Path) -> None:
    """Both servers lose what they had: what the journal of each home has reaches its rows."""
    folder = data_path / "journal"
    folder.mkdir()
    with RegionKit(places.topology, local=SEOUL) as kit:
        journal = FileJournal(folder, unsafe_place=True)
        strategy = WriteBack(sink=SqlSink(kit, TABLE, store="carts"), durability="journal", journal=journal, ttl=300)
        cache: Any = kit.cache("carts", dict, store="carts", strategy=strategy, tiers=[Shared("cache", timeout=2.0)])
        kit.create_tables()
        for home in (SEOUL, OREGON):
            cache.put(f"{home}:j", {"id": f"{home}:j", "name": home})
        for server in servers.values():
            with server.primary.client() as client:
                client.flushall()
        assert (cache.flush(timeout=10.0)).clean
        assert [places.row(home, f"{home}:j") for home in (SEOUL, OREGON)] == [SEOUL, OREGON]


def appended(db: Any, changes: list[Change]) -> None:
    """The sink of log mode: each name behind those before."""
    for change in changes:
        said = {"id": change.key, "name": change.value["name"]}  # type: ignore[index]
        add = "ON CONFLICT (id) DO UPDATE SET name = carts.name || excluded.name"
        db.execute(text(f"INSERT INTO carts (id, name) VALUES (:id, :name) {add}"), said)


def test_other_sinks(places: Places) -> None:
    """A log is of each home; a function of the application's is given the keys of one home at a time."""
    with RegionKit(places.topology, local=SEOUL) as kit:
        log = homed(kit, SqlLogSink(kit, appended, store="carts"), coalesce=False)
        kit.create_tables()
        for name in "ab":
            for home in (SEOUL, OREGON):
                log.put(f"{home}:l", {"name": name})
        assert (log.flush()).clean
        assert [places.row(home, f"{home}:l") for home in (SEOUL, OREGON)] == ["ab", "ab"]
        given: list[set[str]] = []

        def take(changes: list[Change]) -> None:
            given.append({str(change.key).partition(":")[0] for change in changes})

        epochs = iter(range(1, 100))
        sink = CallSink(take, lambda key: None, epochs=lambda cache, above: above + next(epochs))
        called = homed(kit, sink, "called")
        for home in (SEOUL, OREGON):
            for n in range(3):
                called.put(f"{home}:{n}", {"n": n})
        assert (called.flush()).clean
        assert sorted(map(sorted, given)) == [[OREGON], [SEOUL]]


class OwnSink:
    """A sink of the application's that knows nothing of homes."""

    def load(self, key: Any, owner: bool = False) -> Loaded[Any] | None:
        return None

    def flush(self, cache: str, epoch: int, changes: Any) -> Any:
        return []

    def raise_epoch(self, cache: str, above: int) -> int:
        return above + 1


def test_what_is_refused(places: Places) -> None:
    """A key without a home; a sink that cannot be divided; a name that is too long; home=."""
    with RegionKit(places.topology, local=SEOUL) as kit:
        cache = homed(kit)
        kit.create_tables()
        for key in ("mars:x", "nothing"):
            with pytest.raises(UnknownHome):
                cache.put(key, {"id": key, "name": "x"})
        with pytest.raises(ConfigurationError, match="partition="):
            cache.put(5, {"id": "5", "name": "x"})
        with pytest.raises(ConfigurationError, match="several homes"):
            homed(kit, OwnSink(), "own")
        with pytest.raises(ConfigurationError, match="at most 17"):
            homed(kit, name="a_name_of_18_chars")
        strategy = WriteBack(sink=SqlSink(kit, TABLE, store="carts"), durability="memory", ttl=300)
        with pytest.raises(ConfigurationError, match="home="):
            kit.cache("other", dict, store="carts", strategy=strategy, tiers=[Shared("cache")], home=SEOUL)
        with pytest.raises(ConfigurationError, match="already exists"):
            homed(kit)
        cache.close()
        assert cache.closed
        with homed(kit) as again:
            seen(kit)
            again.put("seoul:y", {"id": "seoul:y", "name": "y"})


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql", "mongo"])
def test_on_each_server(server: str, request: pytest.FixtureRequest, servers: dict[str, Any]) -> None:
    """Put far from the key's home, flushed from anywhere, loaded, deleted: the rows of each home stand there."""
    rig: Any = request.getfixturevalue(f"{server}_partition_rig")
    described = rig.topology(Intrinsic("^(?P<region>[a-z0-9-]+):"))
    regions = dict(zip(HOMES, servers.values(), strict=True))
    places = [Endpoint(home, Role.PRIMARY, redis.primary.url) for home, redis in regions.items()]
    shared = RedisStore("cache", endpoints=places, strategy=WritePartitioning(Intrinsic("^(?P<region>[a-z]+):")))
    topology = Topology(
        described.namespace, regions=described.regions, stores=[*described.stores, shared], control="orders"
    )
    with RegionKit(topology, local=HOMES[1]) as kit:
        if server == "mongo":
            sink: Any = MongoSink(kit, "carts", store="carts")
        else:
            for owner, _ in rig.urls.values():
                engine = create_engine(owner)
                TABLE.create(engine)
                engine.dispose()
            sink = SqlSink(kit, TABLE, store="carts")
        kit.create_tables()
        cache = homed(kit, sink)
        kit.create_tables()
        keys = [f"{home}:{n}" for home in HOMES for n in range(3)]
        for key in keys:
            cache.put(key, {"id": key, "name": "one"} if server != "mongo" else {"name": "one"})
        assert (cache.by_home[HOMES[0]].flush(timeout=30.0)).clean
        assert sorted(cache.dirty()) == sorted(key for key in keys if key.startswith(HOMES[1]))
        assert (cache.flush(timeout=30.0)).clean
        loaded = [cache.get(key, refresh=True) for key in keys]
        assert [(one or {})["name"] for one in loaded] == ["one"] * 6
        for key in keys:
            cache.delete(key)
        assert (cache.flush(timeout=30.0)).clean
        assert [cache.get(key, refresh=True) for key in keys] == [None] * 6
