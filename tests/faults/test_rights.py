"""An account that lacks a right on what regionkit keeps: which right, on what, and how to grant it, on real servers.

The advice is done word by word, and the endpoint is up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from cassandra import Unauthorized
from fix_rigs import NAMESPACE
from psycopg.errors import InsufficientPrivilege
from pymongo.errors import OperationFailure
from redis.exceptions import NoPermissionError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from regionkit import (
    AsyncRegionKit,
    ConfigurationError,
    Endpoint,
    MongoStore,
    RedisStore,
    Region,
    RegionKit,
    RegionKitError,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.backends.cassandra.classify import denied
from regionkit.backends.mongo.classify import translated
from regionkit.backends.mongo.kept import MongoKept
from regionkit.backends.sql.rights import lacking
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.core.clock import SystemClock
from regionkit.topology import profile

HISTORY = f"{NAMESPACE}_rk_history"
PATIENT = 30.0
QUICK = {"base": "balanced", "probe_every": 0.1, "open_first": 0.2, "open_longest": 0.4, "hold_down": 0.1}


def topology(url: str) -> Topology:
    """One endpoint."""
    kind: Any = RedisStore if url.startswith("redis") else SqlStore
    store = kind("orders", endpoints=[Endpoint("here", Role.PRIMARY, url)])
    return Topology(NAMESPACE, regions=[Region("here")], stores=[store])


def until(holds: Any, kit: Any) -> None:
    """Poll until true."""
    end = time.monotonic() + PATIENT
    while not holds():
        assert time.monotonic() < end, kit.status()
        time.sleep(0.02)


def account(url: str, user: str, password: str = "word") -> str:
    """The URL with another account."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}").geturl()


class Limited(NamedTuple):
    """An account that lacks something.

    Attributes:
        url: with that account.
        lacks: what the status says that it lacks.
        grant: does what the advice says.
        writes: what it lacks for writing the history.
        revoke: takes the grant away again.
    """

    url: str
    lacks: str
    grant: Any
    writes: str
    revoke: Any


@pytest.fixture
def limited_postgresql(pg: Any) -> Iterator[Limited]:
    """It may connect, and nothing more; the tables are another account's."""
    name, database = f"limited_{time.monotonic_ns()}", pg.database()
    url = pg.primary.url_for(database)
    with RegionKit(topology(url), local="here") as kit:
        kit.create_tables()
    pg.primary.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'word'")

    def grant(advice: str) -> None:
        pg.primary.sql(re.split(";", advice)[0], database=database)

    def revoke() -> None:
        pg.primary.sql(f"REVOKE SELECT ON {HISTORY} FROM {name}", database=database)

    yield Limited(account(url, name), f"SELECT on {HISTORY}", grant, f"INSERT on {HISTORY}", revoke)
    pg.primary.sql(f"DROP OWNED BY {name}", database=database)
    pg.primary.sql(f"DROP ROLE {name}")


@pytest.fixture
def limited_mariadb(mariadb: Any) -> Iterator[Limited]:
    """It may use another table of the database."""
    yield from _limited(mariadb)


@pytest.fixture
def limited_mysql(mysql: Any) -> Iterator[Limited]:
    """As MariaDB."""
    yield from _limited(mysql)


def _limited(servers: Any) -> Iterator[Limited]:
    how = "IDENTIFIED BY 'word'"
    if servers.kind.name == "mysql":  # without TLS its own plugin needs a package
        how = "IDENTIFIED WITH mysql_native_password BY 'word'"
    name, database = f"limited_{time.monotonic_ns()}", servers.database()
    url = servers.primary.url_for(database)
    with RegionKit(topology(url), local="here") as kit:
        kit.create_tables()
    servers.primary.sql(f"CREATE TABLE {database}.tea (n INT PRIMARY KEY)")
    servers.primary.sql(f"CREATE USER {name}@'%%' {how}")
    servers.primary.sql(f"GRANT SELECT ON {database}.tea TO {name}@'%%'")

    def grant(advice: str) -> None:
        servers.primary.sql(re.sub("TO .*", f"TO {name}@'%%'", advice))

    table = f"{database}.{HISTORY}"

    def revoke() -> None:
        servers.primary.sql(f"REVOKE SELECT ON {table} FROM {name}@'%%'")

    yield Limited(account(url, name), f"SELECT on {table}", grant, f"INSERT on {table}", revoke)
    servers.primary.sql(f"DROP USER {name}@'%%'")


@pytest.fixture(params=["postgresql", "mariadb", "mysql"])
def limited(request: pytest.FixtureRequest) -> Limited:
    """On each SQL server with accounts."""
    found: Limited = request.getfixturevalue(f"limited_{request.param}")
    return found


def test_a_right_on_the_history_is_named(limited: Limited) -> None:
    """By the status, by the error of a call, and by the making of tables; what they say to do is enough."""
    events: list[Any] = []
    with RegionKit(topology(limited.url), local="here", profile=QUICK) as kit:
        kit.subscribe(events.append)
        with pytest.raises(RegionUnavailable) as caught, kit.session() as s, s.write("orders") as db:
            db.execute(text("SELECT 1"))
        assert caught.value.cause == f"the account lacks {limited.lacks}"
        assert "GRANT SELECT" in caught.value.fix
        assert not caught.value.retryable
        until(lambda: limited.lacks in kit.status().endpoints[0].state, kit)
        advice = kit.status().endpoints[0].advice
        assert advice == caught.value.fix
        assert advice in str(kit.status())
        until(lambda: limited.lacks in str(kit.explain("orders", "write").to_dict()), kit)
        limited.grant(advice)
        until(lambda: kit.status().endpoints[0].state == "up", kit)
        assert kit.status().endpoints[0].advice == ""
        with pytest.raises(RegionKitError) as adopting:
            kit.adopt("orders", "here")
        assert limited.writes in str(adopting.value)
        assert "GRANT INSERT" in adopting.value.fix
        for _ in range(6):  # it speaks against no server: no breaker opens
            with pytest.raises(ConfigurationError) as keyed, kit.session() as s:
                s.execute_write("orders", lambda db: None, idempotency_key="k")
        assert limited.writes.replace("_history", "_marker") in keyed.value.what
        assert "GRANT INSERT" in keyed.value.fix
    assert not any(type(event).__name__ == "MonitorFailed" for event in events)


async def test_the_async_form_says_the_same(limited: Limited) -> None:
    """Its drivers are others."""
    async with AsyncRegionKit(topology(limited.url), local="here") as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            async with s.read("orders") as db:
                await db.execute(text("SELECT 1"))
        assert caught.value.cause == f"the account lacks {limited.lacks}"


def test_a_right_that_is_taken_away_later_is_named(limited: Limited) -> None:
    """On the connection that was there, by the next probe; it is no error of the monitor's own."""
    events: list[Any] = []
    limited.grant(f"GRANT SELECT ON {limited.lacks.removeprefix('SELECT on ')} TO {urlsplit(limited.url).username};")
    with RegionKit(topology(limited.url), local="here", profile=QUICK) as kit:
        kit.subscribe(events.append)
        kit.session()
        until(lambda: kit.status().endpoints[0].state == "up", kit)
        limited.revoke()
        until(lambda: limited.lacks in kit.status().endpoints[0].state, kit)
    assert not any(type(event).__name__ == "MonitorFailed" for event in events)


def test_making_the_tables_without_create_is_named(pg: Any) -> None:
    """PostgreSQL says which schema."""
    name, database = f"limited_{time.monotonic_ns()}", pg.database()
    pg.primary.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'word'")
    pg.primary.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=database)
    with RegionKit(topology(account(pg.primary.url_for(database), name)), local="here") as kit:
        with pytest.raises(RegionUnavailable) as caught:
            kit.create_tables()
    assert caught.value.cause == "the account lacks CREATE on schema public"
    assert caught.value.fix.startswith(f'GRANT CREATE ON SCHEMA public TO "{name}";')
    pg.primary.sql(f"DROP ROLE {name}")


@pytest.mark.parametrize("rule", ["-hvals", "resetkeys ~app:*"])
def test_a_right_of_an_account_of_redis_is_named(redis_server: Any, rule: str) -> None:
    """A command, or regionkit's own keys: the rule that the status names is enough."""
    name = f"limited-{time.monotonic_ns()}"
    with redis_server.primary.client() as admin:
        admin.execute_command("ACL", "SETUSER", name, "on", ">word", "~*", "+@all", *rule.split())
        lacks = "the command HVALS" if rule == "-hvals" else f"the keys {NAMESPACE}:rk:*"
        events: list[Any] = []
        with RegionKit(topology(account(redis_server.primary.url, name)), local="here", profile=QUICK) as kit:
            kit.subscribe(events.append)
            with pytest.raises(RegionUnavailable) as caught, kit.session() as s, s.write("orders") as client:
                client.get("app:a")
            assert caught.value.cause == f"the account lacks {lacks}"
            until(lambda: lacks in kit.status().endpoints[0].state, kit)
            advice = kit.status().endpoints[0].advice
            admin.execute_command(*advice.split())
            until(lambda: kit.status().endpoints[0].state == "up", kit)
            admin.execute_command("ACL", "SETUSER", name, "-info")
            until(lambda: "the command INFO" in kit.status().endpoints[0].state, kit)
        assert not any(type(event).__name__ == "MonitorFailed" for event in events)
        admin.execute_command("ACL", "DELUSER", name)


@pytest.mark.parametrize(
    ("rule", "lacks"),
    [
        ("-evalsha", "the command EVALSHA"),
        ("-pexpire", "the command PEXPIRE"),
        (f"resetkeys %R~{NAMESPACE}:rk:* ~app:*", f"writing the keys {NAMESPACE}:rk:*"),
        ("-hmget", "the command HMGET"),
    ],
)
def test_a_right_that_a_keyed_write_on_redis_lacks_is_named(redis_server: Any, rule: str, lacks: str) -> None:
    """To read the marker, to run the script, to write the marker: nothing was done, the rule is enough, nobody is blamed."""
    name, key = f"limited-{time.monotonic_ns()}", f"app:{time.monotonic_ns()}"

    def work(db: Any) -> None:
        db.incr(key)

    with redis_server.primary.client() as admin:
        with RegionKit(topology(redis_server.primary.url), local="here") as kit:
            kit.create_tables()
        admin.execute_command("ACL", "SETUSER", name, "on", ">word", "~*", "+@all", *rule.split())
        with RegionKit(topology(account(redis_server.primary.url, name)), local="here") as kit, kit.session() as s:
            for _ in range(6):
                with pytest.raises(ConfigurationError) as caught:
                    s.execute_write("orders", work, idempotency_key=key)
            assert f"the account lacks {lacks}" in caught.value.what
            assert admin.exists(key) == 0
            admin.execute_command(*caught.value.fix.split())
            s.execute_write("orders", work, idempotency_key=key)
            assert admin.get(key) == b"1"
        admin.execute_command("ACL", "DELUSER", name)
        admin.delete(key)


def test_a_key_of_the_applications_that_a_keyed_write_may_not_write_is_its_own_error(redis_server: Any) -> None:
    """Nothing was done, and the error says nothing else."""
    name = f"limited-{time.monotonic_ns()}"
    with redis_server.primary.client() as admin:
        with RegionKit(topology(redis_server.primary.url), local="here") as kit:
            kit.create_tables()
        admin.execute_command("ACL", "SETUSER", name, "on", ">word", f"~{NAMESPACE}:rk:*", "~app:*", "+@all")
        with RegionKit(topology(account(redis_server.primary.url, name)), local="here") as kit, kit.session() as s:
            with pytest.raises(NoPermissionError) as caught:
                s.execute_write("orders", lambda db: db.incr("another:a"), idempotency_key=name)
            assert not hasattr(caught.value, "__notes__")
        admin.execute_command("ACL", "DELUSER", name)


def test_a_right_that_a_keyed_write_on_mongodb_lacks_is_named(
    mongo_store_rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the member words it; it is healthy, so it is not barred."""
    said = 'not authorized on shop to execute command { update: "shop_rk_marker", ordered: true }'

    def refuse(*_: Any) -> None:
        raise OperationFailure(said, 13, {"code": 13, "errmsg": said})

    with RegionKit(mongo_store_rig.topology(), local="us-east-1") as kit, kit.session() as s:
        kit.create_tables()
        for step in ("take", "save_result"):
            with monkeypatch.context() as patched, pytest.raises(ConfigurationError) as caught:
                patched.setattr(MongoKept, step, refuse)
                s.execute_write("orders", lambda db: None, idempotency_key="k")
            assert "the account lacks update on shop.shop_rk_marker" in caught.value.what
            assert "grantRolesToUser" in caught.value.fix
        s.execute_write("orders", lambda db: None, idempotency_key="k")


def test_a_right_of_an_account_of_mongodb_is_named() -> None:
    """As the server words it; what the refused command held is not shown."""
    said = (
        f'not authorized on shop to execute command {{ find: "{HISTORY}", filter: {{ _id: "s3cr3t" }}, '
        'lsid: { id: UUID("00000000-0000-0000-0000-000000000000") }, $db: "shop" }'
    )
    endpoint = Endpoint("here", Role.PRIMARY, "mongodb://app:word@localhost/shop")
    store = MongoStore("orders", endpoints=[endpoint])
    context = EndpointContext(NAMESPACE, store, store.endpoints[0], profile("balanced"), SystemClock(), False)
    error = translated(context, OperationFailure(said, 13, {"code": 13, "errmsg": said}))
    assert isinstance(error, RegionUnavailable)
    assert error.cause == f"the account lacks find on shop.{HISTORY}"
    assert 'db.grantRolesToUser("app", [{ role: "readWrite", db: "shop" }])' in error.fix
    assert "s3cr3t" not in str(error)
    unknown = translated(context, OperationFailure("command find requires authentication", 13))
    assert isinstance(unknown, RegionUnavailable)
    assert unknown.cause == "the server refused the account"


def test_a_permission_of_cassandra_is_named() -> None:
    """As the server words it."""
    said = f"User app has no SELECT permission on <table shop.{HISTORY}> or any of its parents"
    assert denied(Unauthorized(said)) == (
        f"SELECT on table shop.{HISTORY}",
        f"GRANT SELECT ON TABLE shop.{HISTORY} TO app;",
    )
    said = "User app has no CREATE permission on <keyspace shop> or any of its parents"
    assert denied(Unauthorized(said)) == ("CREATE on keyspace shop", "GRANT CREATE ON KEYSPACE shop TO app;")
    said = "User app has no CREATE permission on <all keyspaces> or any of its parents"
    assert denied(Unauthorized(said)) == ("CREATE on all keyspaces", "GRANT CREATE ON ALL KEYSPACES TO app;")
    assert denied(ValueError(said)) is None


def test_a_read_that_lacks_a_right_names_the_account_of_reads() -> None:
    """The other one made the tables: a grant to it changes nothing."""
    error = ProgrammingError("SELECT 1", {}, InsufficientPrivilege(f"permission denied for table {HISTORY}"))
    for read_url, account in ((None, "app"), ("postgresql://reader:word@127.0.0.1/shop", "reader")):
        endpoint = Endpoint("here", Role.PRIMARY, "postgresql://app:word@127.0.0.1/shop", read_url=read_url)
        store = SqlStore("orders", endpoints=[endpoint])
        context = EndpointContext(NAMESPACE, store, store.endpoints[0], profile("balanced"), SystemClock(), False)
        found = lacking(context, error)
        assert found is not None
        assert f'GRANT SELECT ON {HISTORY} TO "{account}"' in found.fix
    denied_write = ProgrammingError("INSERT", {}, InsufficientPrivilege(f"permission denied for table {HISTORY}"))
    found = lacking(context, denied_write)
    assert found is not None
    assert 'TO "app"' in found.fix
