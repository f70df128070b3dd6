"""A table that a SQL sink writes, on each server, and changes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from fix_plain import async_plain_of, owner_of
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, create_engine, text

from regionkit.caching.back.rules import Change, Verdict, version_of
from regionkit.caching.back.sinks.sql_async import AsyncSqlSink

APPLIED, CONFLICT, SUPERSEDED = Verdict.APPLIED, Verdict.CONFLICT, Verdict.SUPERSEDED
CACHE = "users"
SERVERS = ["sqlite", "postgresql", "mariadb"]


class User(msgspec.Struct, frozen=True):
    """Of the application."""

    name: str
    visits: int = 0


def version_column() -> Column[Any]:
    return Column("rk_ver", BigInteger, nullable=False, server_default="0")


def users(meta: MetaData, *more: Any) -> Table:
    return Table(
        "users",
        meta,
        Column("id", String(40), primary_key=True),
        Column("name", String(40), nullable=False),
        Column("visits", Integer, nullable=False, server_default="7"),
        version_column(),
        *more,
    )


class Place:
    """An empty database: one engine for the sink, one for the test."""

    def __init__(self, server: str, request: pytest.FixtureRequest, folder: Path) -> None:
        self.server = server
        owner = owner_of(server, request, folder)
        self._lent = async_plain_of(owner)
        self.engine: Any = None
        self.plain = create_engine(owner.urls[0])
        self.meta = MetaData()
        self._sinks: list[AsyncSqlSink] = []

    async def __aenter__(self) -> Place:
        self.engine = await self._lent.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        for sink in self._sinks:
            await sink.close()
        self.plain.dispose()
        await self._lent.__aexit__(*raised)

    async def sink(self, table: Any = None, **options: Any) -> AsyncSqlSink:
        """A sink whose tables are made, with epoch 1 given out."""
        table = users(self.meta) if table is None else table
        self.meta.create_all(self.plain)
        sink = self.another(table, **options)
        await sink.create_tables()
        assert await sink.raise_epoch(CACHE, 0) == 1
        return sink

    def another(self, table: Any, **options: Any) -> AsyncSqlSink:
        """One more on the same tables."""
        sink = AsyncSqlSink(self.engine, table, **options)
        self._sinks.append(sink)
        return sink

    def meta_again(self) -> MetaData:
        """For the same table once more, as another process has it."""
        return MetaData()

    def rows(self, sql: str = "SELECT id, name, visits FROM users ORDER BY id") -> list[tuple[Any, ...]]:
        with self.plain.begin() as db:
            return [tuple(row) for row in db.execute(text(sql))]

    def do(self, *statements: str) -> None:
        with self.plain.begin() as db:
            for statement in statements:
                db.execute(text(statement))


def put(key: Any, number: int, value: Any = None, *, epoch: int = 1) -> Change:
    return Change(key, version_of(epoch, number), User(f"v{number}", number) if value is None else value)


def gone(key: Any, number: int, *, epoch: int = 1) -> Change:
    return Change(key, version_of(epoch, number), deleted=True)
