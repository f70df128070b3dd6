"""MySQL: what it is asked differently from MariaDB, its default account plugin, and the two taken for one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE, REGIONS, Order, Rig, make_tables, wait_until
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from regionkit import (
    SESSION,
    AsyncRegionKit,
    ConfigurationError,
    Endpoint,
    NoEligibleEndpoint,
    Region,
    RegionKit,
    RegionUnavailable,
    Role,
    SqlStore,
    Topology,
)
from regionkit.backends.sql.mariadb_connection import Bounded
from regionkit.errors import MissingDriver

PASSWORD = "gr33n-tea"


def topology_of(urls: list[str], **options: Any) -> Topology:
    """One store: the first is its primary."""
    endpoints = [
        Endpoint(region, Role.REPLICA if number else Role.PRIMARY, url, **options)
        for number, (region, url) in enumerate(zip(REGIONS, urls, strict=False))
    ]
    store = SqlStore("orders", endpoints=endpoints)
    return Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])


def placed(kit: RegionKit, number: int) -> str:
    """One order written, and the bookmark."""
    with kit.session() as s:
        s.execute_write("orders", lambda db: db.add(Order(id=number, item="tea")))
        return s.bookmark()


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
@pytest.mark.parametrize("server", ["mysql", "mariadb"])
def test_a_url_finds_out_what_it_leads_to(scheme: str, server: str, request: pytest.FixtureRequest) -> None:
    """Either server behind either scheme is served as what it is, and the status names it."""
    rig: Rig = request.getfixturevalue(f"{server}_rig")
    urls = [url.replace("mysql+pymysql", scheme) for url in rig.urls]
    with RegionKit(topology_of(urls), local=REGIONS[1]) as kit:
        kit.create_tables()
        placed(kit, 1)
        assert kit._store("orders").capabilities.server == server
        wait_until(lambda: all(e.server for e in kit.status().endpoints))
        told = {"mysql": "MySQL 8", "mariadb": "MariaDB 1"}[server]
        assert all(e.server.startswith(told) for e in kit.status().endpoints)
        assert told in str(kit.status())


@pytest.mark.parametrize("own", [False, True])
def test_the_two_are_no_copies_of_one_another(mysql_rig: Rig, mariadb_rig: Rig, own: bool) -> None:
    """The primary counts; what is of another kind is never read, and says why."""
    urls = [mysql_rig.urls[0], mariadb_rig.urls[0]]
    engines = [sqlalchemy.create_engine(url) for url in urls]
    roles = [Role.PRIMARY, Role.REPLICA]
    how: list[dict[str, Any]] = [{"client": e} for e in engines] if own else [{"url": url} for url in urls]
    endpoints = [Endpoint(r, role, **given) for r, role, given in zip(REGIONS, roles, how, strict=False)]
    store = SqlStore("orders", endpoints=endpoints)
    made = Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS[:2]], stores=[store])
    with RegionKit(made, local=REGIONS[1]) as kit:
        kit.create_tables()
        bookmark = placed(kit, 1)
        wait_until(lambda: kit.status().endpoints[1].server != "")
        state = kit.status().endpoints[1].state
        assert "it is MariaDB 1" in state and "us-east-1 is MySQL 8" in state
        with kit.session(bookmark=bookmark) as s, s.read("orders", consistency=SESSION) as db:
            assert db.get(Order, 1) is not None, "read from the primary"
    for engine in engines:
        engine.dispose()


def test_without_gtid_mode_it_is_read_from_the_owner(own_mysql: Callable[..., Any]) -> None:
    """It tells no positions: writes are acknowledged, what a session wrote is read from the owner, never from a copy."""
    mysql = own_mysql(settings=["gtid-mode=OFF", "enforce-gtid-consistency=OFF"])
    url = mysql.primary.url_for(mysql.database())
    make_tables(url)
    with RegionKit(topology_of([url]), local=REGIONS[0]) as kit:
        kit.create_tables()
        bookmark = placed(kit, 1)
        with kit.session(bookmark=bookmark) as s, s.read("orders", consistency=SESSION) as db:
            assert db.get(Order, 1) is not None
        with kit.session() as s:
            s.execute_write("orders", lambda db: db.add(Order(id=2, item="tea")), idempotency_key="k")
            s.execute_write("orders", lambda db: db.add(Order(id=2, item="tea")), idempotency_key="k")
        assert kit.status().endpoints[0].state == "up"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A MySQL with a certificate for localhost, and accounts of its default plugin; the certificate."""
    from contextlib import ExitStack

    from fix_certificates import certificate
    from fix_servers import entered

    from regionkit.testing import servers
    from regionkit.testing.servers.places import new_workspace, remove, write_owned

    folder = new_workspace("mysql-tls")
    made = certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost")
    for file in made:
        write_owned(folder / file.name, file.read_text())
    cert, key = (folder / file.name for file in made)
    with ExitStack() as stack:
        mysql = entered(stack, servers.mysql(settings=[f"ssl-ca={cert}", f"ssl-cert={cert}", f"ssl-key={key}"]))
        yield mysql, cert
    remove(folder)


@pytest.fixture
def account(guarded: tuple[Any, Path]) -> str:
    """A URL of a new account, which the server has not seen yet: its cache of passwords does not know it."""
    mysql, _ = guarded
    database = mysql.database()
    name = database.replace("test", "user")
    mysql.primary.sql(f"CREATE USER {name}@'%%' IDENTIFIED WITH caching_sha2_password BY '{PASSWORD}'")
    mysql.primary.sql(f"GRANT ALL ON `{database}`.* TO {name}@'%%'")
    make_tables(mysql.primary.url_for(database))
    return f"mysql://{name}:{PASSWORD}@localhost:{mysql.primary.port}/{database}"


@pytest.mark.parametrize("tls", [False, True])
async def test_the_default_account_plugin(guarded: tuple[Any, Path], account: str, tls: bool) -> None:
    """caching_sha2_password: by the server's key where there is no TLS, in TLS as it is; both drivers, cached or not."""
    if not tls:
        pytest.importorskip("cryptography")
    url = f"{account}?ssl_ca={guarded[1]}" if tls else account
    made = topology_of([url], tls="require" if tls else None)
    async with AsyncRegionKit(made, local=REGIONS[0]) as kit:
        await kit.create_tables()
        async with kit.session() as s, s.write("orders") as db:
            found = (await db.execute(text("SHOW STATUS LIKE 'Ssl_cipher'"))).one()
            assert bool(found[1]) is tls
    guarded[0].primary.sql("FLUSH PRIVILEGES")  # empties the cache of passwords
    with RegionKit(made, local=REGIONS[0]) as kit, kit.session() as s, s.write("orders") as db:
        assert bool(db.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1]) is tls


async def test_a_wrong_password_is_told_as_one(account: str) -> None:
    """By both drivers; no word of it is shown."""
    pytest.importorskip("cryptography")
    made = topology_of([account.replace(PASSWORD, "bl4ck-tea")])
    with RegionKit(made, local=REGIONS[0]) as kit, kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught, s.write("orders") as db:
            db.execute(text("SELECT 1"))
        assert "account" in caught.value.cause and "bl4ck" not in str(caught.value)
    async with AsyncRegionKit(made, local=REGIONS[0]) as async_kit, async_kit.session() as s:
        with pytest.raises(RegionUnavailable) as caught:
            async with s.write("orders") as db:
                await db.execute(text("SELECT 1"))
        assert "account" in caught.value.cause and "bl4ck" not in str(caught.value)


def test_without_cryptography_it_is_said_what_is_missing(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyMySQL says it by a RuntimeError: it is a driver that lacks a part, and no fault of the server's."""
    from pymysql import _auth

    monkeypatch.setattr(_auth, "_have_cryptography", False)
    with RegionKit(topology_of([account]), local=REGIONS[0]) as kit, kit.session() as s:
        with pytest.raises(MissingDriver, match="cryptography") as caught, s.write("orders") as db:
            db.execute(text("SELECT 1"))
    assert "regionkit[mysql]" in caught.value.fix


@pytest.mark.parametrize("driver", ["asyncmy", "aiomysql"])
async def test_engines_of_other_drivers(mysql_rig: Rig, driver: str) -> None:
    """asyncmy too: as an engine of the application's."""
    pytest.importorskip(driver)
    engines = [create_async_engine(url.replace("pymysql", driver)) for url in mysql_rig.urls]
    roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
    endpoints = [Endpoint(r, role, client=e) for r, role, e in zip(REGIONS, roles, engines, strict=True)]
    store = SqlStore("orders", endpoints=endpoints)
    made = Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])
    async with AsyncRegionKit(made, local=REGIONS[1]) as kit:
        await kit.create_tables()
        async with kit.session() as s:
            for number in range(1, 4):
                async with s.write("orders") as db:
                    db.add(Order(id=number, item="tea"))
                async with s.read("orders", consistency=SESSION) as db:
                    assert await db.get(Order, number) is not None
        assert kit._store("orders").capabilities.server == "mysql"
    for engine in engines:
        await engine.dispose()


@pytest.mark.parametrize("driver", ["mysqldb", "pymysql"])
def test_engines_of_other_drivers_for_threads(mysql_rig: Rig, driver: str) -> None:
    """mysqlclient too: as an engine of the application's."""
    if driver == "mysqldb":
        pytest.importorskip("MySQLdb", reason="pip install mysqlclient")
    engines = [create_engine(url.replace("pymysql", driver)) for url in mysql_rig.urls]
    roles = [Role.PRIMARY, Role.REPLICA, Role.REPLICA]
    endpoints = [Endpoint(r, role, client=e) for r, role, e in zip(REGIONS, roles, engines, strict=True)]
    store = SqlStore("orders", endpoints=endpoints)
    made = Topology(namespace=NAMESPACE, regions=[Region(r) for r in REGIONS], stores=[store])
    with RegionKit(made, local=REGIONS[1]) as kit:
        kit.create_tables()
        with kit.session() as s:
            for number in range(1, 4):
                with s.write("orders") as db:
                    db.add(Order(id=number, item="tea"))
                with s.read("orders", consistency=SESSION) as db:
                    assert db.get(Order, number) is not None
            with pytest.raises(IntegrityError), s.write("orders") as db:
                db.add(Order(id=1, item="twice"))
            with mysql_rig.held():
                with s.write("orders") as db:
                    db.add(Order(id=9, item="late"))
                with s.read("orders", consistency=SESSION) as db:
                    assert db.get(Order, 9) is not None
                assert s.last_route is not None
                assert s.last_route.region != REGIONS[1]
        assert kit._store("orders").capabilities.server == "mysql"
    for engine in engines:
        engine.dispose()


def test_a_greeting_tells_the_two_apart() -> None:
    """By the version; where that was changed, by the flag that MariaDB does not set."""
    connection = Bounded(defer_connect=True)
    for version, flags, is_mariadb in [
        ("8.0.36", 0xC3FFFFFF, False),
        ("5.5.5-10.11.6-MariaDB-0+deb12u1", 0x81BFF7FE, True),
        ("10.11.6-log", 0x81BFF7FE, True),
        ("8.0.mysql_aurora.3.05.2", 0xC3FFFFFF, False),
    ]:
        connection.server_version, connection.server_capabilities = version, flags
        assert connection.is_mariadb is is_mariadb


def test_nobody_reads_a_copy_that_is_all_of_another_kind(mariadb_rig: Rig, mysql_rig: Rig) -> None:
    """Also where the primary cannot be asked: there is none to read from, and the refusal says why."""
    urls = [mysql_rig.urls[0].replace("app:app", "nobody:x"), mysql_rig.urls[1], mariadb_rig.urls[0]]
    with RegionKit(topology_of(urls), local=REGIONS[2]) as kit:
        with pytest.raises((NoEligibleEndpoint, RegionUnavailable)), kit.session() as s, s.write("orders") as db:
            db.execute(text("SELECT 1"))
        wait_until(lambda: all(e.server for e in kit.status().endpoints[1:]))
        states = [e.state for e in kit.status().endpoints]
        assert sum("neither copies the other" in state for state in states) == 1


def test_a_proxy_that_greets_in_anothers_name(mysql_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two do not know each other's variables: the error names the liar, and what to set."""
    monkeypatch.setattr(Bounded, "is_mariadb", property(lambda self: True))
    with RegionKit(topology_of(mysql_rig.urls[:1]), local=REGIONS[0]) as kit, kit.session() as s:
        with pytest.raises(ConfigurationError, match="greeting") as caught, s.write("orders") as db:
            db.execute(text("SELECT 1"))
    assert "ProxySQL" in caught.value.fix
