"""regionkit's own tables on SQL servers: made by many at once, known by version, with keys that compare byte for byte."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import NAMESPACE
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from regionkit import ConfigurationError, DeadlineExceeded, Endpoint, Region, RegionKit, Role, SqlStore, Topology
from regionkit.backends.sql import schema
from regionkit.backends.sql import tables as metadata
from regionkit.backends.sql.table_making import _LET_GO, _POSTGRES, _TAKE
from regionkit.contract.kept_tables import tables_of
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table

HOME = "us-east-1"
AT_ONCE = 8
VERSIONS = f"{NAMESPACE}_rk_tables"
KEYS = ("a", "a ", "a  ", "A", "\u00e1", "a\u0301", "\u00df", "ss")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "mysql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/orders.db"
    servers: Any = request.getfixturevalue({"postgresql": "pg"}.get(request.param, request.param))
    found: str = servers.primary.url_for(servers.database())
    return found


def kit_of(url: str | None, **endpoint: Any) -> RegionKit:
    """A kit of one endpoint."""
    store = SqlStore("orders", endpoints=[Endpoint(HOME, Role.PRIMARY, url, **endpoint)])
    return RegionKit(Topology(namespace=NAMESPACE, regions=[Region(HOME)], stores=[store]), local=HOME)


def engine_kit(url: str, **options: Any) -> Callable[[], RegionKit]:
    """Makes kits on engines of the application's."""
    return lambda: kit_of(None, client=sqlalchemy.create_engine(url, poolclass=NullPool, **options))


def race(make: Callable[[], RegionKit]) -> list[Exception]:
    """What goes wrong when `AT_ONCE` kits make their tables in one instant."""
    errors: list[Exception] = []
    barrier = threading.Barrier(AT_ONCE)

    def worker() -> None:
        with make() as kit:
            barrier.wait()
            try:
                kit.create_tables()
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=worker) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def rows(url: str, statement: str, **parameters: Any) -> list[Any]:
    """What a statement gives, past the library."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(text(statement), parameters)
        found = [tuple(_text(value) for value in row) for row in result] if result.returns_rows else []
    engine.dispose()
    return found


def _text(value: Any) -> Any:
    """MySQL before 8.0.17 keeps the bytes of names."""
    return value.decode() if isinstance(value, bytes) else value


def backend_of(kit: RegionKit) -> Any:
    """The kit's only endpoint."""
    return kit._store("orders").shards[0].backend(0)


def soon(seconds: float = 10.0) -> Deadline:
    """A deadline."""
    return Deadline(SYSTEM_CLOCK, seconds)


def made_names(url: str) -> set[str]:
    """regionkit's tables, without the namespace."""
    engine = sqlalchemy.create_engine(url)
    names = sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
    return {name.removeprefix(f"{NAMESPACE}_rk_") for name in names}


def test_many_make_the_tables_at_once(url: str) -> None:
    """All of them succeed; there is one history, and each table has its version."""
    assert race(lambda: kit_of(url)) == []
    assert len(rows(url, f"SELECT * FROM {NAMESPACE}_rk_history")) == 1
    wanted = {"history", "marker", "record"} | ({"position"} if url.startswith("sqlite") else set())
    assert dict(rows(url, f"SELECT name, version FROM {VERSIONS}")) == dict.fromkeys(wanted, 1)
    assert made_names(url) == wanted | {"tables"}
    if url.startswith("sqlite"):
        assert len(rows(url, f"SELECT * FROM {NAMESPACE}_rk_position")) == 1


@pytest.mark.parametrize("options", [{}, {"isolation_level": "SERIALIZABLE"}])
def test_many_make_the_tables_at_once_on_their_own_engines(url: str, options: dict[str, Any]) -> None:
    """Whatever isolation an application's engine has: who waited sees what was made meanwhile."""
    assert race(engine_kit(url, **options)) == []
    assert len(rows(url, f"SELECT * FROM {NAMESPACE}_rk_history")) == 1


def test_tables_without_versions_are_of_version_one(url: str) -> None:
    """Those of an earlier regionkit, or of a migration tool, get their rows, and keep what they hold."""
    engine = sqlalchemy.create_engine(url)
    metadata(NAMESPACE).create_all(engine)
    engine.dispose()
    rows(url, f"DROP TABLE {VERSIONS}")
    rows(url, f"DROP TABLE {NAMESPACE}_rk_record")
    rows(url, f"INSERT INTO {NAMESPACE}_rk_marker VALUES ('k', '', '', 'a', 1, NULL, 1)")
    with kit_of(url) as kit:
        kit.create_tables()
        kit.create_tables()
    assert set(rows(url, f"SELECT version FROM {VERSIONS}")) == {(1,)}
    assert "record" in made_names(url)
    assert len(rows(url, f"SELECT * FROM {NAMESPACE}_rk_marker")) == 1


def test_another_version_is_refused_and_nothing_is_made(url: str) -> None:
    """The error names the table and both versions; a version without its table counts for nothing."""
    with kit_of(url) as kit:
        kit.create_tables()
        rows(url, f"UPDATE {VERSIONS} SET version = 2 WHERE name = 'record'")
        rows(url, f"DROP TABLE {NAMESPACE}_rk_marker")
        with pytest.raises(ConfigurationError, match=r"rk_record is of version 2, and this regionkit needs 1"):
            kit.create_tables()
        assert "marker" not in made_names(url)
        rows(url, f"DROP TABLE {NAMESPACE}_rk_record")
        kit.create_tables()
        assert {"marker", "record"} <= made_names(url)
        assert set(rows(url, f"SELECT version FROM {VERSIONS}")) == {(1,)}


def test_a_pillar_makes_tables_of_its_own(url: str) -> None:
    """By name and version; one that this family has nothing for is left out; one of an old version is told."""
    outbox = Table("messaging", "outbox", 2, {"sql": f"{schema.__name__}:record"})
    with kit_of(url) as kit:
        backend = backend_of(kit)
        backend.make_tables(soon(), [outbox, Table("messaging", "stream", 1, {"mongo": "nowhere:NOTHING"})])
        backend.make_tables(soon(), [outbox])
        assert made_names(url) == {"outbox", "tables"}
        assert rows(url, f"SELECT name, version FROM {VERSIONS}") == [("outbox", 2)]
        rows(url, f"DELETE FROM {VERSIONS}")
        with pytest.raises(ConfigurationError, match="run the migration of messaging from version 1 to 2"):
            backend.make_tables(soon(), [outbox])


def test_who_waits_for_the_lock_is_told_at_the_deadline(url: str) -> None:
    """DeadlineExceeded; the connection holds no lock afterwards, so the next call goes well."""
    make = kit_of(url)
    engine = sqlalchemy.create_engine(url)
    name = {"name": f"tables of {NAMESPACE} in "}
    with make as kit, engine.connect() as holder:
        backend = backend_of(kit)
        if url.startswith("sqlite"):
            holder.exec_driver_sql("BEGIN IMMEDIATE")
        elif url.startswith("postgresql"):
            holder.execute(_POSTGRES, name)
        else:
            holder.execute(_TAKE, {**name, "seconds": 1})
        with pytest.raises(DeadlineExceeded):
            backend.make_tables(soon(0.5), tables_of(["routing"]))
        if url.startswith("mysql"):
            holder.execute(_LET_GO, name)
        holder.rollback()
        backend.make_tables(soon(), tables_of(["routing"]))
        with pytest.raises(ConfigurationError):
            backend.make_tables(soon(), [Table("messaging", "record", 2, {"sql": f"{schema.__name__}:record"})])
        backend.make_tables(soon(), tables_of(["routing"]))
        if url.startswith("mysql"):
            assert holder.execute(_TAKE, {**name, "seconds": 0}).scalar() == 1
    engine.dispose()


def test_idempotency_keys_compare_byte_for_byte(url: str) -> None:
    """Keys that differ in a blank, in case or in a normal form are two: each write takes effect, once."""
    rows(url, "CREATE TABLE ran (number INTEGER)")
    with kit_of(url) as kit, kit.session() as s:
        kit.create_tables()
        for number, key in enumerate(KEYS * 2):

            def run(db: Any, number: int = number) -> int:
                db.execute(text(f"INSERT INTO ran VALUES ({number})"))
                return number

            assert s.execute_write("orders", run, idempotency_key=key) == number % len(KEYS)
    assert len(rows(url, "SELECT * FROM ran")) == len(KEYS)


def test_mysql_has_a_collation_of_its_own_for_it() -> None:
    """Another name than MariaDB's; a migration made without a connection is for MariaDB."""
    from sqlalchemy.dialects.mysql import dialect
    from sqlalchemy.schema import CreateTable

    table = metadata(NAMESPACE).tables[f"{NAMESPACE}_rk_record"]
    mysql: Any = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped
    assert "COLLATE utf8mb4_nopad_bin" in str(CreateTable(table).compile(dialect=mysql))
    mysql.server_version_info, mysql.is_mariadb = (8, 0, 36), False
    assert "COLLATE utf8mb4_0900_bin" in str(CreateTable(table).compile(dialect=mysql))
