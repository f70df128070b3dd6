"""Tables that a SQL sink meets: what check refuses and finds, other unique indexes, foreign keys, soft deletes, types."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from regionkit.caching.back.refusals import SinkDown, SinkRefused
from regionkit.caching.back.sinks.sql_async import AsyncSqlSink
from regionkit.errors import CacheError, ConfigurationError

from .sql_places_async import (
    APPLIED,
    CACHE,
    CONFLICT,
    SERVERS,
    SUPERSEDED,
    Place,
    User,
    gone,
    put,
    users,
    version_column,
)


@pytest.fixture(params=SERVERS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """On each SQL server."""
    async with Place(request.param, request, tmp_path) as found:
        yield found


@pytest.fixture(params=["mariadb"])
async def maria(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """On MariaDB."""
    async with Place(request.param, request, tmp_path) as found:
        yield found


@pytest.fixture(params=["postgresql", "mariadb"])
async def strict(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Where foreign keys hold on each connection."""
    async with Place(request.param, request, tmp_path) as found:
        yield found


def with_version(column: Column[Any] | None, *, primary: bool = True) -> Any:
    def table(meta: MetaData) -> Table:
        columns = [Column("id", String(40), primary_key=primary), Column("name", String(40))]
        return Table("odd", meta, *columns, *([] if column is None else [column]))

    return table


async def test_a_table_that_breaks_no_guard_passes(place: Place) -> None:
    """With nothing to say about it, but for MariaDB's collation, under which "a" is "A"."""
    sink = await place.sink(type=User)
    await sink.check()
    assert [finding.partition(" (")[0] for finding in sink.findings] == (
        ["keys that differ in case only are one row"] if place.server == "mariadb" else []
    )


async def test_a_version_that_cannot_be_one_is_refused_with_what_to_run(place: Place) -> None:
    """It may be NULL, is a text, or too small. What the error says to run makes it fit."""
    odd: list[Any] = [BigInteger(), String(30)] if place.server == "sqlite" else [BigInteger(), String(30), Integer()]
    for kind in odd:
        meta = MetaData()
        table = with_version(Column("rk_ver", kind, nullable=kind.__class__ is BigInteger, server_default="0"))(meta)
        meta.drop_all(place.plain)
        meta.create_all(place.plain)
        sink = place.another(table)
        await sink.create_tables()
        with pytest.raises(ConfigurationError, match="odd") as raised:
            await sink.check()
        fix = raised.value.fix.removeprefix("run ").removesuffix(".")
        place.do(*fix.split("; "))
        await sink.check()


async def test_tables_that_cannot_serve_are_refused(place: Place) -> None:
    """No version, no unique key, a view, none at all; a flag that is no flag; a key that is not there."""
    for made, words in (
        (with_version(None), "ADD COLUMN rk_ver BIGINT NOT NULL DEFAULT 0"),
        (lambda meta: Table("nowhere", meta, Column("id", Integer, primary_key=True), version_column()), "not there"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            await place.another(made(MetaData())).check()
    meta = MetaData()
    loose = with_version(version_column(), primary=False)(meta)
    meta.create_all(place.plain)
    place.do("CREATE VIEW seen AS SELECT id, rk_ver FROM odd")
    with pytest.raises(ConfigurationError, match="CREATE UNIQUE INDEX odd_by_key ON odd"):
        await place.another(loose).check()
    view = Table("seen", MetaData(), Column("id", String(40), primary_key=True), version_column())
    with pytest.raises(ConfigurationError, match="is a view"):
        await place.another(view).check()
    for options in ({"key": "no"}, {"key": ()}, {"delete": "name"}, {"timeout": 0}):
        with pytest.raises(ConfigurationError):
            place.another(users(MetaData()), **options)
    with pytest.raises(ConfigurationError, match="no table"):
        place.another("users")


async def test_a_version_column_that_the_database_does_not_have(place: Place) -> None:
    """The Table has it, and its migration was not run."""
    with_version(None)(place.meta)
    place.meta.create_all(place.plain)
    sink = place.another(with_version(version_column())(MetaData()))
    with pytest.raises(ConfigurationError, match="ALTER TABLE odd ADD COLUMN rk_ver BIGINT NOT NULL DEFAULT 0"):
        await sink.check()
    with pytest.raises(SinkDown, match="create_tables"):
        await sink.flush(CACHE, 1, [put("a", 1, {"name": "x"})])


async def test_a_type_with_a_field_that_has_no_column_is_refused(place: Place) -> None:
    """When the cache starts, not when its first value is written."""

    class Wide(msgspec.Struct):
        name: str
        colour: str

    sink = await place.sink()
    sink.of_type(Wide)
    with pytest.raises(ConfigurationError, match="'colour'"):
        await sink.check()


async def test_a_table_of_an_engine_without_transactions_is_refused(maria: Place) -> None:
    """MyISAM keeps the half of a flush that failed."""
    table = Table("old", maria.meta, Column("id", Integer, primary_key=True), version_column(), mysql_engine="MyISAM")
    maria.meta.create_all(maria.plain)
    with pytest.raises(ConfigurationError, match="ALTER TABLE old ENGINE = InnoDB"):
        await maria.another(table).check()


async def test_what_else_stands_at_a_table_is_told(place: Place, request: pytest.FixtureRequest) -> None:
    """Triggers and computed columns; and they work as they do for anybody."""
    doubled = Column("doubled", Integer, Computed("visits * 2", persisted=True))
    sink = await place.sink(users(place.meta, doubled, Column("email", String(40), unique=True)))
    body = {
        "sqlite": "CREATE TRIGGER seen AFTER INSERT ON users BEGIN SELECT 1; END",
        "mariadb": "CREATE TRIGGER seen AFTER INSERT ON users FOR EACH ROW SET @seen = 1",
        "postgresql": "CREATE TRIGGER seen BEFORE UPDATE ON users FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    }
    if place.server == "mariadb":  # where it takes more rights than an application has
        request.getfixturevalue("mariadb").primary.sql(body["mariadb"], database=place.plain.url.database)
    else:
        place.do(body[place.server])
    await sink.check()
    told = " / ".join(sink.findings)
    assert "triggers run at each flush" in told and "seen" in told
    assert "computed columns are read, and never written: doubled" in told
    assert ("another unique index" in told) is (place.server == "mariadb")
    assert await sink.flush(CACHE, 1, [put("a", 1)]) == [APPLIED]
    found = await sink.load("a")
    assert found is not None and found.value["doubled"] == 2


async def test_another_unique_index_never_writes_another_row(place: Place) -> None:
    """The email of row 1 under key 2: refused, and row 1 is as it was. The guard holds beside it."""
    sink = await place.sink(users(place.meta, Column("email", String(40), unique=True)))
    one, two = {"name": "one", "email": "1@x"}, {"name": "two", "email": "2@x"}
    assert await sink.flush(CACHE, 1, [put("1", 1, one), put("2", 2, two)]) == [APPLIED] * 2
    for key, number in (("2", 3), ("3", 4)):
        with pytest.raises(SinkRefused):
            await sink.flush(CACHE, 1, [put("1", 5, one), put(key, number, {"name": "thief", "email": "1@x"})])
    assert place.rows("SELECT id, name, email FROM users ORDER BY id") == [("1", "one", "1@x"), ("2", "two", "2@x")]
    changes = [put("1", 6, one), put("2", 1, one), put("3", 7, {"name": "three", "email": "3@x"})]
    assert await sink.flush(CACHE, 1, changes) == [APPLIED, SUPERSEDED, APPLIED]
    place.do("UPDATE users SET rk_ver = 9000000000000000000 WHERE id = '3'")
    assert await sink.flush(CACHE, 1, [put("3", 8, one)]) == [CONFLICT]
    assert place.rows("SELECT id, name FROM users ORDER BY id") == [("1", "one"), ("2", "two"), ("3", "three")]


async def test_a_child_that_comes_before_its_parent_waits(strict: Place) -> None:
    """It is no poison; and a parent whose child is still there waits with its delete."""
    users(strict.meta)
    columns = [Column("id", Integer, primary_key=True, autoincrement=False), version_column()]
    orders = Table("orders", strict.meta, *columns, Column("buyer", String(40), ForeignKey("users.id")))
    parents = await strict.sink(strict.meta.tables["users"])
    children = strict.another(orders)
    with pytest.raises(SinkRefused) as raised:
        await children.flush(CACHE, 1, [put(1, 1, {"buyer": "a"})])
    assert raised.value.waits
    await parents.flush(CACHE, 1, [put("a", 2)])
    assert await children.flush(CACHE, 1, [put(1, 1, {"buyer": "a"})]) == [APPLIED]
    with pytest.raises(SinkRefused) as raised:
        await parents.flush(CACHE, 1, [gone("a", 3)])
    assert raised.value.waits


async def test_a_soft_delete_keeps_the_row(place: Place) -> None:
    """A date, or a number, says that it is deleted; a later put takes that back."""
    columns = [Column("gone_at", DateTime(timezone=True)), Column("dead", Integer, nullable=False, server_default="0")]
    table = users(place.meta, *columns)
    for name, present in (("gone_at", None), ("dead", 0)):
        sink = (
            await place.sink(table, delete=name, type=User) if name == "gone_at" else place.another(table, delete=name)
        )
        assert await sink.flush(CACHE, 1, [put(name, 1)]) == [APPLIED]
        assert await sink.flush(CACHE, 1, [gone(name, 2)]) == [APPLIED]
        assert await sink.load(name) is None
        ((flag,),) = place.rows(f"SELECT {name} FROM users WHERE id = '{name}'")
        assert flag != present and flag is not None
        assert await sink.flush(CACHE, 1, [put(name, 1), gone(name + "x", 3)]) == [SUPERSEDED, APPLIED]
        assert await sink.load(name) is None
        assert await sink.flush(CACHE, 1, [put(name, 4)]) == [APPLIED]
        assert place.rows(f"SELECT {name} FROM users WHERE id = '{name}'") == [(present,)]
        assert await sink.load(name) is not None


class Base(DeclarativeBase):
    """Of the application."""


class Thing(Base):
    """Mapped."""

    __tablename__ = "mapped"
    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    made: Mapped[str] = mapped_column(String(20), default="by default")
    rk_ver: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Kind(Enum):
    """Of a value."""

    SMALL = "small"


@dataclasses.dataclass(frozen=True)
class Seen:
    """A value."""

    id: UUID
    kind: Kind


async def test_mapped_classes_and_dataclasses(place: Place) -> None:
    """With a key in the value, an enumeration, and a default that SQLAlchemy gives."""
    Base.metadata.create_all(place.plain)
    sink = place.another(Thing, type=Seen)
    await sink.create_tables()
    await sink.check()
    value = Seen(UUID(int=7), Kind.SMALL)
    assert await sink.flush(CACHE, 1, [put(value.id, 1, value)]) == [APPLIED]
    found = await sink.load(value.id)
    assert found is not None and found.value == value
    assert place.rows("SELECT made FROM mapped") == [("by default",)]
    assert await sink.load(UUID(int=8)) is None
    Base.metadata.drop_all(place.plain)


async def test_rows_that_the_application_makes_itself(place: Place) -> None:
    """`encode` and `decode`; a row that is no value of the type is told by the load."""
    sink = await place.sink(encode=lambda n: {"name": f"n{n}"}, decode=lambda row: int(row["name"][1:]))
    assert await sink.flush(CACHE, 1, [put("a", 1, 42)]) == [APPLIED]
    found = await sink.load("a")
    assert found is not None and found.value == 42
    place.do("UPDATE users SET name = 'what'")
    with pytest.raises(CacheError, match="no value of the cache"):
        await sink.load("a")


async def test_values_that_are_defaults_are_written(place: Place) -> None:
    """A Struct that leaves them out when it is encoded has them all the same."""

    class Lean(msgspec.Struct, omit_defaults=True, rename="camel"):
        name: str
        visits: int = 0

    sink = await place.sink(type=Lean)
    await sink.flush(CACHE, 1, [put("a", 1, Lean("x", 5))])
    await sink.flush(CACHE, 1, [put("a", 2, Lean("y"))])
    assert place.rows() == [("a", "y", 0)]
    found = await sink.load("a")
    assert found is not None and found.value == Lean("y")


async def test_bytes_and_aware_times(place: Place) -> None:
    """As the driver takes them."""
    columns = [Column("id", Integer, primary_key=True, autoincrement=False), version_column()]
    table = Table("raw", place.meta, *columns, Column("data", LargeBinary), Column("at", DateTime(timezone=True)))
    sink = await place.sink(table)
    at = datetime(2026, 1, 2, tzinfo=UTC)
    value = {"data": b"\0\xff'", "at": at}
    assert await sink.flush(CACHE, 1, [put(1, 1, value)]) == [APPLIED]
    found = await sink.load(1)
    assert found is not None and found.value["data"] == b"\0\xff'"
    assert found.value["at"].replace(tzinfo=UTC) == at


async def test_what_is_no_sql_engine_is_refused() -> None:
    """By name, before anything is sent."""
    with pytest.raises(ConfigurationError):
        AsyncSqlSink(object(), users(MetaData()))
