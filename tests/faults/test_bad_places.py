"""Endpoints that are not what the topology says: each mistake has an outcome with a name, and none is a wrong answer.

What each of them looks like to a caller and in the status is the table of docs/operations/what-goes-wrong.md.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import sqlalchemy
from fix_rigs import NAMESPACE
from fix_store_rigs import REGIONS, StoreRig
from pymongo.synchronous.database import Database
from sqlalchemy import text
from sqlalchemy.orm import Session

from regionkit import (
    BOUNDED,
    EVENTUAL,
    SESSION,
    AsyncRegionKit,
    ConfigurationError,
    DeadlineExceeded,
    Endpoint,
    Fenced,
    MongoStore,
    NoEligibleEndpoint,
    RedisStore,
    Region,
    RegionKit,
    RegionKitError,
    RegionUnavailable,
    Role,
    SqlStore,
    StaleRead,
    Topology,
)
from regionkit.contract.outcomes import Refused
from regionkit.core.clock import SystemClock

KEY = "a key of more than sixteen characters"
CANARY = "canary-s3cret"
US, KR, EU = REGIONS
FACES = {"postgresql": SqlStore, "mariadb": SqlStore, "mysql": SqlStore, "sqlite": SqlStore, "redis": RedisStore}
PATIENT = 10.0
"""Seconds for a call that ends at once on an idle machine; its own time-out is shorter."""


def topology(server: str, urls: Sequence[str], regions: Sequence[str] = REGIONS, **endpoint: Any) -> Topology:
    """Store "orders": the first URL is the primary's."""
    roles = (Role.PRIMARY, Role.REPLICA, Role.REPLICA)
    endpoints = [Endpoint(r, role, url, **endpoint) for r, role, url in zip(regions, roles, urls, strict=False)]
    store = FACES[server]("orders", endpoints=endpoints)
    return Topology(namespace=NAMESPACE, regions=[Region(region) for region in regions], stores=[store])


def touch(db: Any) -> None:
    """Send one command, whichever client it is."""
    if isinstance(db, Session):
        db.execute(text("SELECT 1"))
    elif isinstance(db, Database):
        db.things.find_one({"_id": "a"})
    else:
        db.get("a")


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    """Poll until true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def state(kit: RegionKit, region: str) -> str:
    """What the status says of a region's endpoint."""
    return next(e.state for e in kit.status().endpoints if e.region == region)


def refused_call(kit: RegionKit, kind: str, timeout: float = 4.0) -> RegionKitError:
    """The error of a block, which comes within its own time."""
    began = time.monotonic()
    with pytest.raises(RegionKitError) as caught, kit.session() as s:
        options = {} if kind == "write" else {"consistency": EVENTUAL}
        with getattr(s, kind)("orders", timeout=timeout, **options) as db:
            touch(db)
    assert time.monotonic() - began < PATIENT
    assert caught.value.committed == "no"
    assert caught.value.what and caught.value.fix
    return caught.value


def assert_no_secret(kit: RegionKit, events: list[Any], *errors: BaseException | None) -> None:
    """The password is in no text that anybody logs."""
    for error in errors:
        while error is not None:
            assert CANARY not in f"{error} {error!r} {vars(error)}"
            error = error.__cause__ or error.__context__
    assert CANARY not in f"{kit.status()} {kit.explain('orders')} {kit.explain('orders', 'write')} {events}"


class Bad:
    """A primary and a replica, and how their URLs go wrong."""

    def __init__(self, server: str, urls: list[str], wrong: dict[str, list[str]]) -> None:
        self.server = server
        self.urls = urls
        self.wrong = wrong

    def topology(self, fault: str, at: int) -> Topology:
        """One endpoint's URL is wrong."""
        urls = [*self.urls]
        urls[at] = self.wrong[fault][at]
        return topology(self.server, urls)


@pytest.fixture(params=["postgresql", "mariadb", "mysql", "redis"])
def bad(request: pytest.FixtureRequest) -> Bad:
    """Each server that takes an account and a database by its URL."""
    server = request.param
    if server == "redis":
        urls = [node.url for node in request.getfixturevalue("redis_server").nodes[:2]]
        accounts = [url.replace("redis://", f"redis://nobody:{CANARY}@") for url in urls]
        return Bad(server, urls, {"account": accounts, "database": [url.replace("/0", "/9999") for url in urls]})
    if server in ("mariadb", "mysql"):
        servers = request.getfixturevalue(server)
    else:
        servers = request.getfixturevalue("own_pg")(1)
        asks_for_passwords(servers)
    urls = [node.app_url for node in servers.nodes[:2]]
    accounts = [url.replace("app:app", f"app:{CANARY}") for url in urls]
    return Bad(server, urls, {"account": accounts, "database": [url.replace("/shop", "/no_such") for url in urls]})


def asks_for_passwords(servers: Any, kind: str = "host") -> None:
    """Let PostgreSQL servers look at the password of "app"; with kind "hostssl" take it with TLS only."""
    for node in servers.nodes:
        rules = Path(node.sql("SHOW hba_file")[0][0])
        others = rules.read_text().replace("host all app all", "# ")
        if kind == "hostssl":
            others = "host all postgres all trust\nhost replication postgres all trust\n"
        rules.write_text(f"{kind} all app all scram-sha-256\n{others}")
        node.sql("SELECT pg_reload_conf()")


CAUSES = {"account": Refused.ACCOUNT, "database": Refused.DATABASE}


@pytest.mark.parametrize("fault", ["account", "database"])
def test_a_replica_that_refuses_us_costs_no_read(bad: Bad, fault: str) -> None:
    """Wrong password or database at a copy: reads go elsewhere, and the status says what is wrong."""
    events: list[Any] = []
    with RegionKit(bad.topology(fault, 1), local=KR, profile="aggressive", bookmark_keys=[KEY]) as kit:
        kit.subscribe(events.append)
        with kit.session() as s:
            for consistency in (EVENTUAL, SESSION, EVENTUAL):
                with s.read("orders", consistency=consistency) as db:
                    touch(db)
                assert s.last_route is not None
                assert s.last_route.region == US
            with s.write("orders") as db:
                touch(db)
        cause, _ = CAUSES[fault].value
        wait_until(lambda: cause in state(kit, KR))
        assert cause in str(kit.explain("orders").to_dict())
        assert_no_secret(kit, events)


@pytest.mark.parametrize("fault", ["account", "database"])
def test_a_primary_that_refuses_us_is_named(bad: Bad, fault: str) -> None:
    """The write says which endpoint, why, and what to look at; it is not repeated without hope, and a copy still serves reads."""
    events: list[Any] = []
    brisk = {"base": "gentle", "probe_every": 0.25}
    with RegionKit(bad.topology(fault, 0), local=KR, profile=brisk, bookmark_keys=[KEY]) as kit:
        kit.subscribe(events.append)
        error = refused_call(kit, "write")
        cause, fix = CAUSES[fault].value
        assert isinstance(error, RegionUnavailable)
        assert (error.cause, error.fix, error.retryable) == (cause, fix, False)
        assert (error.store, error.region) == ("orders", US)
        assert US in error.what
        assert error.why
        with pytest.raises(RegionUnavailable), kit.session() as s:
            s.execute_write("orders", touch)
        with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            touch(db)
        wait_until(lambda: state(kit, US).startswith("breaker open") and cause in state(kit, US))
        later = refused_call(kit, "write")
        assert isinstance(later, NoEligibleEndpoint)
        assert cause in later.why
        assert_no_secret(kit, events, error, later)


async def test_the_async_form_says_the_same(bad: Bad) -> None:
    """Its drivers word their errors in another way."""
    for fault, expected in CAUSES.items():
        async with AsyncRegionKit(bad.topology(fault, 0), local=KR, profile="gentle") as kit, kit.session() as s:
            with pytest.raises(RegionUnavailable) as caught:
                async with s.write("orders", timeout=4.0) as db:
                    await (db.get("a") if bad.server == "redis" else db.execute(text("SELECT 1")))
            assert caught.value.cause == expected.value[0]
            assert CANARY not in f"{caught.value} {caught.value.__cause__!r}"


def test_an_account_of_a_replica_set_is_refused_by_every_member(mongo: Any) -> None:
    """Nothing can be read, and the members' own words say why: where they stand is not known, as they did not say."""
    url = re.sub("//", f"//nobody:{CANARY}@", mongo.url, count=1)
    store = MongoStore("orders", url=url)
    made = Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])
    events: list[Any] = []
    with RegionKit(made, local=US) as kit:
        kit.subscribe(events.append)
        errors = [refused_call(kit, kind) for kind in ("read", "write")]
        cause, _ = Refused.ACCOUNT.value
        for error in errors:
            assert isinstance(error, NoEligibleEndpoint)
            assert cause in error.why
        assert all(cause in e.state for e in kit.status().endpoints)
        assert_no_secret(kit, events, *errors)


def test_members_of_another_replica_set_are_told(mongo: Any) -> None:
    """The URL names one set, and another one answers."""
    store = MongoStore("orders", url=re.sub(r"replicaSet=[\w-]+", "replicaSet=other", mongo.url))
    made = Topology(namespace=NAMESPACE, regions=[Region(region) for region in REGIONS], stores=[store])
    with RegionKit(made, local=US) as kit:
        assert "is a member of the replica set" in refused_call(kit, "read").why
        assert all("is a member of the replica set" in e.state for e in kit.status().endpoints)


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "redis"])
def test_tls_that_the_server_does_not_have(server: str, request: pytest.FixtureRequest) -> None:
    """No connection, and never plain text. Redis takes a TLS greeting for the beginning of a command: it says nothing."""
    fixture = {"postgresql": "pg", "mariadb": "mariadb", "redis": "redis_server"}[server]
    node = request.getfixturevalue(fixture).primary
    url = node.url if server == "redis" else node.app_url
    with RegionKit(topology(server, [url], [US], tls="require"), local=US, profile="gentle") as kit:
        for kind in ("read", "write"):
            error = refused_call(kit, kind, timeout=1.5)
            if server == "redis":
                assert isinstance(error, DeadlineExceeded)
            else:
                assert isinstance(error, RegionUnavailable)
                assert error.cause == Refused.TLS.value[0]
                assert not error.retryable


def test_a_server_that_takes_the_account_with_tls_only(own_pg: Any, mariadb: Any) -> None:
    """PostgreSQL says so; MariaDB says no more than that it refuses the account."""
    servers = own_pg()
    asks_for_passwords(servers, "hostssl")
    name = f"tls_{time.monotonic_ns()}"
    mariadb.primary.sql(f"CREATE USER {name}@'%%' IDENTIFIED BY '{CANARY}' REQUIRE SSL")
    strict = mariadb.primary.app_url.replace("app:app", f"{name}:{CANARY}")
    cases = (("postgresql", servers.primary.app_url, Refused.NO_TLS), ("mariadb", strict, Refused.ACCOUNT))
    for server, url, expected in cases:
        with RegionKit(topology(server, [url], [US]), local=US) as kit:
            error = refused_call(kit, "write")
            assert isinstance(error, RegionUnavailable)
            assert error.cause == expected.value[0]
            assert_no_secret(kit, [], error)
    mariadb.primary.sql(f"DROP USER {name}@'%%'")


KINDS = [
    ("postgresql", "mariadb", Refused.KIND),
    ("postgresql", "redis", None),
    ("mariadb", "postgresql", None),
    ("mariadb", "redis", None),
    ("mysql", "redis", None),
    ("postgresql", "mysql", Refused.KIND),
    ("redis", "mariadb", Refused.KIND),
    ("redis", "postgresql", None),
    ("sqlite", "text", Refused.KIND),
]
"""Client, server, and what is told: None where the server is silent or hangs up, which a dead one does too."""


@pytest.mark.parametrize(("client", "server", "expected"), KINDS)
def test_the_address_of_another_kind_of_server(
    client: str, server: str, expected: Refused | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """An error of ours within the deadline, whatever the other side makes of our words."""
    if server == "text":
        (tmp_path / "orders.db").write_text("no database" * 1000)
        url = f"sqlite:///{tmp_path / 'orders.db'}"
    else:
        fixture = {"postgresql": "pg", "redis": "redis_server"}.get(server, server)
        port = request.getfixturevalue(fixture).primary.port
        account = "" if client == "redis" else "app:app@"
        url = f"{client}://{account}127.0.0.1:{port}/0"
    brisk = {"base": "gentle", "probe_timeout": 0.5}
    with RegionKit(topology(client, [url], [US]), local=US, profile=brisk) as kit:
        for kind in ("read", "write"):
            error = refused_call(kit, kind, timeout=1.5)
            assert isinstance(error, RegionUnavailable | DeadlineExceeded)
            assert getattr(error, "cause", "") == ("" if expected is None else expected.value[0])
        wait_until(lambda: "probe" in state(kit, US))
        assert expected is None or expected.value[0] in state(kit, US)


def database_of(server: str, request: pytest.FixtureRequest) -> list[str]:
    """A database of its own at a primary and its first replica, with a table of one row that says "foreign"."""
    if server == "redis":
        urls = [node.url.removesuffix("/0") + "/7" for node in request.getfixturevalue("redis_server").nodes[:2]]
        with redis.Redis.from_url(urls[0]) as client:
            client.flushdb()
            client.set("a", "foreign")
        return urls
    if server == "sqlite":
        folder = request.getfixturevalue("tmp_path")
        return [f"sqlite:///{folder / 'foreign.db'}"] * 2
    servers = request.getfixturevalue({"postgresql": "pg"}.get(server, server))
    name = servers.database()
    return [node.url_for(name) for node in servers.nodes[:2]]


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "mysql", "redis"])
def crossed(request: pytest.FixtureRequest) -> tuple[StoreRig, Topology]:
    """A rig, and its topology in which the copy of ap-northeast-2 is one of another store's primary."""
    server = request.param
    rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    foreign = database_of(server, request)
    if server != "redis":
        engine = sqlalchemy.create_engine(foreign[0])
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE things (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100))"))
            connection.execute(text("INSERT INTO things VALUES ('a', 'foreign')"))
        engine.dispose()
    with RegionKit(topology(server, foreign[:1], [US]), local=US) as other:
        other.create_tables()
    fixture = {"postgresql": "pg", "mariadb": "mariadb", "mysql": "mysql", "redis": "redis_server"}.get(server)
    if fixture is not None:
        request.getfixturevalue(fixture).wait_for_replicas()
    good = [str(e.url) for e in rig.topology().stores[0].endpoints]
    return rig, topology(server, [good[0], foreign[1]])


@pytest.mark.parametrize("first", [0, 1])
def test_a_replica_of_another_primary_is_barred(crossed: tuple[StoreRig, Topology], first: int) -> None:
    """In whatever order they are seen: writes go on, no read shows the other store, and the status says why."""
    rig, made = crossed
    do = rig.Actions
    with RegionKit(rig.topology(), local=US, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                do.put(db, "a", "ours")
            bookmark = s.bookmark()
    with RegionKit(made, local=KR, bookmark_keys=[KEY]) as kit:
        routed: Any = kit._store("orders")
        for index in (first, 1 - first):
            assert routed.probe(index) is not None
        with kit.session() as s, s.write("orders") as db:
            do.put(db, "b", "ours")
        for consistency in (EVENTUAL, SESSION, BOUNDED(30.0)):
            with kit.session() as s, s.read("orders", consistency=consistency) as db:
                assert do.get(db, "a") == "ours"
        assert "promoted separately from ours" in state(kit, KR)
        assert "promoted separately from ours" in str(kit.explain("orders").to_dict())
    with RegionKit(made, local=KR, bookmark_keys=[KEY]) as kit:  # which knows nothing yet
        with kit.session(bookmark=bookmark) as s, s.read("orders") as db:
            assert do.get(db, "a") == "ours"
    assert rig.value("b") == "ours"


def test_a_bookmark_is_not_served_by_another_stores_copy_alone(crossed: tuple[StoreRig, Topology]) -> None:
    """With the primary gone there is only the foreign copy: refused, not answered."""
    rig, made = crossed
    with RegionKit(rig.topology(), local=US, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                rig.Actions.put(db, "a", "ours")
            bookmark = s.bookmark()
    foreign = made.stores[0].endpoints[1].url
    dead = {"sqlite": "sqlite:////nowhere/orders.db", "redis": "redis://127.0.0.1:1/0"}
    accounts = dict.fromkeys(("mariadb", "mysql"), "mysql://app:app@127.0.0.1:1/x")
    accounts["postgresql"] = "postgresql://app:app@127.0.0.1:1/x"
    alone = topology(rig.server, [(dead | accounts)[rig.server], str(foreign)])
    with RegionKit(alone, local=KR, bookmark_keys=[KEY]) as kit, kit.session(bookmark=bookmark) as s:
        with pytest.raises(StaleRead, match="does not know"), s.read("orders", timeout=3.0) as db:
            rig.Actions.get(db, "a")


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "redis"])
def test_one_server_under_two_names(server: str, request: pytest.FixtureRequest) -> None:
    """Two regions cannot share a primary: both are fenced with the reason, and nothing is written."""
    rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    with RegionKit(rig.topology(), local=US) as kit:
        kit.create_tables()
    good = str(rig.topology().stores[0].endpoints[0].url)
    with RegionKit(topology(server, [good, good.replace("127.0.0.1", "localhost")]), local=US) as kit:
        routed: Any = kit._store("orders")
        for index in (0, 1):
            routed.probe(index)
        error = refused_call(kit, "write")
        assert isinstance(error, Fenced)
        assert "the same server under two names" in error.why
        assert all("the same server under two names" in e.state for e in kit.status().endpoints)


@pytest.mark.parametrize("server", ["postgresql", "mariadb"])
def test_a_primary_that_became_a_replica(server: str, request: pytest.FixtureRequest) -> None:
    """Switched over by others: writes are refused and never sent astray; adopted, they go to the new one, reads to both."""
    own = request.getfixturevalue({"postgresql": "own_pg", "mariadb": "own_mariadb"}[server])(1)
    old, new = own.nodes
    name = own.database()
    made = topology(server, [node.url_for(name) for node in own.nodes])
    with RegionKit(made, local=US, profile="aggressive", bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                db.execute(text("CREATE TABLE t (n INT PRIMARY KEY)"))
            with s.write("orders") as db:
                db.execute(text("INSERT INTO t VALUES (1)"))
            own.wait_for_replicas()
            new.promote()
            old.follow(new)
            for _ in range(3):
                with pytest.raises((Fenced, RegionUnavailable, NoEligibleEndpoint)) as caught:
                    with s.write("orders") as db:
                        db.execute(text("INSERT INTO t VALUES (2)"))
                assert caught.value.committed == "no"
            wait_until(lambda: "no history row records it" in state(kit, KR))
            error = refused_call(kit, "write")
            assert isinstance(error, Fenced | NoEligibleEndpoint)  # the second while the old one was away for a moment
            assert "adopt" in f"{error.why} {error.fix}"
            kit.adopt("orders", KR)
            with s.write("orders") as db:
                db.execute(text("INSERT INTO t VALUES (3)"))
            assert s.last_route is not None
            assert s.last_route.region == KR
            wait_until(lambda: state(kit, US) == "up" and local_read(s) == [1, 3])


def local_read(s: Any) -> Any:
    """The rows where the old primary serves them as a copy; None while another one does."""
    with s.read("orders") as db:
        rows = db.execute(text("SELECT n FROM t ORDER BY n")).scalars().all()
    assert rows == [1, 3]
    return rows if s.last_route.region == US else None


@pytest.mark.parametrize("server", ["sqlite", "postgresql", "mariadb", "redis"])
def test_a_region_renamed_in_a_replaced_topology(server: str, request: pytest.FixtureRequest) -> None:
    """The data is where it was: an open session goes on, its bookmark holds. The local region cannot be taken away."""
    rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    do = rig.Actions
    urls = [str(e.url) for e in rig.topology().stores[0].endpoints]
    with RegionKit(topology(server, urls), local=KR, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                do.put(db, "a", "tea")
            kit.replace(topology(server, urls, [US, KR, "eu-central-1"]))
            with s.read("orders") as db:
                assert do.get(db, "a") == "tea"
            assert {e.region for e in kit.status().endpoints} >= {US, KR}
            assert EU not in str(kit.status())
            with s.write("orders") as db:
                do.put(db, "a", "milk")
            with s.read("orders") as db:
                assert do.get(db, "a") == "milk"
            with pytest.raises(ConfigurationError, match=KR):
                kit.replace(topology(server, urls, [US, "ap-south-1", EU]))
            with s.read("orders") as db:
                assert do.get(db, "a") == "milk"


@pytest.mark.parametrize("server", ["postgresql", "mariadb", "redis"])
def test_the_primarys_region_renamed(server: str, request: pytest.FixtureRequest) -> None:
    """Who owns the data is told by the server, not by a region's name."""
    rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    do = rig.Actions
    urls = [str(e.url) for e in rig.topology().stores[0].endpoints]
    with RegionKit(topology(server, urls), local=KR, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                do.put(db, "a", "tea")
            kit.replace(topology(server, urls, ["us-east-9", KR, EU]))
            with s.read("orders") as db:
                assert do.get(db, "a") == "tea"
            with s.write("orders") as db:
                do.put(db, "a", "milk")
            assert s.last_route is not None
            assert s.last_route.region == "us-east-9"
    assert rig.value("a") == "milk"


def test_the_owners_region_renamed_where_files_are_copies(sqlite_store_rig: StoreRig) -> None:
    """A file's history row names the region that owns it: renamed, the store has no owner, and with the old name it has."""
    do = sqlite_store_rig.Actions
    urls = [str(e.url) for e in sqlite_store_rig.topology().stores[0].endpoints]
    with RegionKit(topology("sqlite", urls), local=KR, bookmark_keys=[KEY]) as kit:
        kit.create_tables()
        with kit.session() as s:
            with s.write("orders") as db:
                do.put(db, "a", "tea")
            bookmark = s.bookmark()
        kit.replace(topology("sqlite", urls, ["us-east-9", KR, EU]))
        assert isinstance(refused_call(kit, "write"), NoEligibleEndpoint)
        kit.replace(topology("sqlite", urls))
        with kit.session(bookmark=bookmark) as s:
            with s.read("orders") as db:
                assert do.get(db, "a") == "tea"
            with s.write("orders") as db:
                do.put(db, "a", "milk")
    assert sqlite_store_rig.value("a") == "milk"


class Skewed(SystemClock):
    """A machine whose wall clock is wrong."""

    def __init__(self, by: float) -> None:
        self.by = by

    def wall(self) -> float:
        return super().wall() + self.by


@pytest.mark.parametrize("server", ["sqlite", "postgresql", "mariadb", "redis", "mongo", "cassandra"])
def test_bookmarks_carry_no_wall_time(server: str, request: pytest.FixtureRequest) -> None:
    """A session between machines whose clocks are far apart sees each of its writes, and the last one stands."""
    store_rig: StoreRig = request.getfixturevalue(f"{server}_store_rig")
    skew = 5.0 if server == "cassandra" else 86_400.0  # Cassandra orders writes by clocks, and makes good ten seconds
    do = store_rig.Actions
    # in Cassandra a session that writes in several data centres has to meet its writes in each
    levels = {"options": {"read_level": "QUORUM", "write_level": "QUORUM"}} if server == "cassandra" else {}
    made = store_rig.topology(**levels)
    regions = [region.name for region in made.regions]
    with contextlib.ExitStack() as stack:
        kits = [
            stack.enter_context(RegionKit(made, local=local, bookmark_keys=[KEY], clock=Skewed(by)))
            for local, by in ((regions[0], skew), (regions[1], 0.0), (regions[-1], -skew if skew > 10.0 else 0.0))
        ]
        kits[1].create_tables()
        bookmark = ""
        for number in range(9):
            with kits[number % 3].session(bookmark=bookmark) as s:
                with s.read("orders") as db:
                    assert do.get(db, "a") == (str(number - 1) if number else None)
                with s.write("orders") as db:
                    do.put(db, "a", str(number))
                bookmark = s.bookmark()
        assert store_rig.value("a") == "8"


def test_another_clock_than_the_regions_in_memory_is_refused(memory_store_rig: StoreRig) -> None:
    """Lag passes on the one, waiting on the other: told at construction."""
    with pytest.raises(ConfigurationError, match="clock"):
        RegionKit(memory_store_rig.topology(), local=KR, clock=Skewed(1.0))


def listens(url: str) -> bool:
    """Whether something takes connections there."""
    parts = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((parts.hostname, parts.port), 1.0):
        return True
    return False


@pytest.fixture
def recovering(own_pg: Any) -> Iterator[tuple[Any, list[str]]]:
    """A PostgreSQL primary, and a replica that is up and lets nobody in: hot standby is off."""
    servers = own_pg(1)
    replica = servers.replicas[0]
    replica.stop()
    replica._extra["hot_standby"] = "off"
    replica._configure()
    replica._lifecycle.start(lambda: listens(replica.url))  # and not: serves
    yield servers, [node.app_url for node in servers.nodes]
    replica.kill()


def test_a_server_that_is_up_and_not_open_yet(recovering: tuple[Any, list[str]]) -> None:
    """It is waited for in the background, reads go elsewhere, and the error may be over by itself."""
    _, urls = recovering
    with RegionKit(topology("postgresql", urls), local=KR, profile="aggressive") as kit:
        with kit.session() as s, s.read("orders", consistency=EVENTUAL) as db:
            touch(db)
        assert s.last_route is not None
        assert s.last_route.region == US
        wait_until(lambda: Refused.STARTING.value[0] in state(kit, KR))
    with RegionKit(topology("postgresql", urls[1:], [US]), local=US, profile="gentle") as kit:
        error = refused_call(kit, "read")
        assert isinstance(error, RegionUnavailable)
        assert (error.cause, error.retryable) == (Refused.STARTING.value[0], True)


@pytest.fixture
def loading() -> Iterator[int]:
    """The port of a Redis that loads its data: it has one answer to everything."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed: the test is over
                while True:
                    link, _ = server.accept()
                    with link, contextlib.suppress(OSError):
                        link.recv(65536)
                        link.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_redis_that_loads_its_data(loading: int) -> None:
    """As any server that is not open yet."""
    with RegionKit(topology("redis", [f"redis://127.0.0.1:{loading}/0"], [US]), local=US, profile="gentle") as kit:
        error = refused_call(kit, "read")
        assert isinstance(error, RegionUnavailable)
        assert (error.cause, error.retryable) == (Refused.STARTING.value[0], True)


def test_the_page_has_every_cause() -> None:
    """Each refusal is a row of the page, with what to do in the words of the error."""
    page = Path(__file__).parents[2] / "docs" / "operations" / "what-goes-wrong.md"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.read_text().splitlines()]
    told = {row[0]: (row[2], row[3]) for row in rows if len(row) == 4}
    for refused in Refused:
        cause, fix = refused.value
        assert told[cause] == ("yes" if refused.passes else "no", fix)
