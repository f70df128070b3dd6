"""The store rigs of the SQL servers: the rigs of the SQL contract, with keys and values in a table."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy
from fix_rigs import Rig
from sqlalchemy import text

from regionkit import Topology

PUT = (text("DELETE FROM things WHERE name = :key"), text("INSERT INTO things (name, value) VALUES (:key, :value)"))
GET = text("SELECT value FROM things WHERE name = :key")


class SqlActions:
    """With a Session."""

    @staticmethod
    def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        for statement in PUT:
            db.execute(statement, {"key": key, "value": value} if statement is PUT[1] else {"key": key})

    @staticmethod
    def get(db: Any, key: str) -> Any:
        """The value."""
        return db.execute(GET, {"key": key}).scalar()

    @staticmethod
    def add(db: Any, key: str) -> None:
        """Add one."""
        number = db.execute(GET, {"key": key}).scalar()
        SqlActions.put(db, key, str(int(number or 0) + 1))


class AsyncSqlActions:
    """With an AsyncSession."""

    @staticmethod
    async def put(db: Any, key: str, value: str) -> None:
        """Set a value."""
        for statement in PUT:
            await db.execute(statement, {"key": key, "value": value} if statement is PUT[1] else {"key": key})

    @staticmethod
    async def get(db: Any, key: str) -> Any:
        """The value."""
        return (await db.execute(GET, {"key": key})).scalar()

    @staticmethod
    async def add(db: Any, key: str) -> None:
        """Add one."""
        number = (await db.execute(GET, {"key": key})).scalar()
        await AsyncSqlActions.put(db, key, str(int(number or 0) + 1))


class SqlStoreRig:
    """A rig of the SQL contract with a table of names and values."""

    Actions = SqlActions
    AsyncActions = AsyncSqlActions

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.server = rig.server
        engine = sqlalchemy.create_engine(rig.urls[0])
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE things (name VARCHAR(100) PRIMARY KEY, value VARCHAR(100))"))
        engine.dispose()
        rig.wait_for_copies()  # a test may read a copy at once

    def topology(self, **store_options: Any) -> Topology:
        """The topology."""
        return self.rig.topology(**store_options)

    def held(self) -> contextlib.AbstractContextManager[None]:
        """The copy in ap-northeast-2 applies nothing."""
        return self.rig.held()

    def value(self, key: str) -> Any:
        """The value at the owner."""
        engine = sqlalchemy.create_engine(self.rig.plain)
        with engine.connect() as connection:
            found = connection.execute(GET, {"key": key}).scalar()
        engine.dispose()
        return found


@pytest.fixture
def sqlite_store_rig(sqlite_rig: Rig) -> SqlStoreRig:
    """SQLite."""
    return SqlStoreRig(sqlite_rig)


@pytest.fixture
def postgresql_store_rig(postgresql_rig: Rig) -> SqlStoreRig:
    """PostgreSQL."""
    return SqlStoreRig(postgresql_rig)


@pytest.fixture
def mariadb_store_rig(mariadb_rig: Rig) -> SqlStoreRig:
    """MariaDB."""
    return SqlStoreRig(mariadb_rig)


@pytest.fixture
def mysql_store_rig(mysql_rig: Rig) -> SqlStoreRig:
    """MySQL."""
    return SqlStoreRig(mysql_rig)
