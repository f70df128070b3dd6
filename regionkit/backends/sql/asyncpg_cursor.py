"""Cursors over `asyncpg_connection`, and what SQLAlchemy holds of a connection.

What is used of SQLAlchemy's adapter: its constructor, the errors that it makes of asyncpg's, and that a cursor is what `cursor()`
gives.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection, AsyncAdapt_asyncpg_dbapi
from sqlalchemy.util import await_only

from regionkit.backends.sql.asyncpg_connection import AsyncBounded
from regionkit.backends.sql.driver import DeadlinePassed, as_driver
from regionkit.backends.sql.postgres_texts import holds_several
from regionkit.backends.sql.postgres_wire import value_of

__all__ = ["Adapted", "waited"]

JSON_TYPES = frozenset({114, 3802})
"""Numbers of json and jsonb, which asyncpg gives as texts."""
COUNTED = re.compile(r"(?:SELECT|UPDATE|DELETE|MERGE|INSERT \d+) (\d+)")
BATCH = 1000
"""Rows that a stream fetches at a time where all are asked for."""
FEW = 50
"""Rows that a stream fetches at a time where one is asked for."""


class WaitExpired(DeadlinePassed, AsyncAdapt_asyncpg_dbapi.OperationalError):
    """The deadline passed while waiting for PostgreSQL; the connection is closed."""


class Adapted(AsyncAdapt_asyncpg_connection):
    """What SQLAlchemy and whoever takes the DBAPI connection holds."""

    __slots__ = ()

    def cursor(self, server_side: bool = False) -> Any:
        """A cursor; with `server_side` one that fetches rows as they are asked for."""
        return _Stream(self) if server_side else _Cursor(self)

    def translate(self, error: Exception) -> None:
        """Raise SQLAlchemy's error for one of asyncpg's."""
        driver: Any = self._connection
        if driver.expired and driver.deadline is not None:
            seconds = driver.deadline.timeout
            raise waited(f"the deadline of {seconds:g} s passed while waiting for the server") from error
        self._handle_exception(error)

    @property  # type: ignore[misc]  # SQLAlchemy has a setter, which nobody calls here
    def autocommit(self) -> bool:
        """Whether each statement commits by itself."""
        return bool(as_driver(self).automatic)

    def commit(self) -> None:
        """COMMIT, whoever asks for it past SQLAlchemy."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """ROLLBACK, as that."""
        self._end("ROLLBACK")

    def _end(self, text: str) -> None:
        driver: Any = self._connection
        if not driver.busy:
            return
        try:
            await_only(driver.execute(text))
        except Exception as error:
            self.translate(error)

    def close(self) -> None:
        """Close it without a wait."""
        as_driver(self).leave()

    def terminate(self) -> None:
        """Close it without a wait."""
        as_driver(self).leave()


class _Cursor:
    """A cursor whose rows are all there."""

    server_side = False
    _invalidate_schema_cache_asof = 0.0  # SQLAlchemy's execution context sets it
    arraysize = 1

    def __init__(self, connection: Adapted) -> None:
        self._adapted = connection
        self.connection: AsyncBounded = as_driver(connection)
        self._rows: collections.deque[Any] = collections.deque()
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1

    def execute(self, operation: str, parameters: Sequence[Any] | None = None) -> None:
        """Run a statement."""
        self._drive(self._execute(operation, parameters or ()))

    def executemany(self, operation: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run a statement with several rows of parameters."""
        self.description = None
        self._drive(self.connection.executemany(operation, parameters))

    def _drive(self, doing: Any) -> Any:
        driver = self.connection
        try:
            return await_only(doing)
        except Exception as error:
            driver.stop(error)
            self._adapted.translate(error)
        except BaseException as error:
            driver.stop(error)
            raise

    async def _execute(self, operation: str, parameters: Sequence[Any]) -> None:
        driver = self.connection
        if not parameters and holds_several(operation):
            await self._execute_several(operation)
            return
        driver.before(operation)
        plan = await driver.plan(operation)
        attributes = plan.get_attributes()
        self.description = [(a.name, a.type.oid, *(None,) * 5) for a in attributes] or None
        await self._run(plan, parameters)

    async def _execute_several(self, operation: str) -> None:
        """A text of several statements, which cannot be prepared: its last rows come as message_asyncpg gives them."""
        last = (await self.connection.run_several(operation))[-1]
        columns = zip(last.names, last.types, strict=True)
        self.description = [(name, kind, *(None,) * 5) for name, kind in columns] or None
        self._rows = collections.deque(tuple(map(value_of, last.types, row)) for row in last.rows)
        counted = COUNTED.match(last.tag)
        self.rowcount = int(counted[1]) if counted else -1

    async def _run(self, plan: Any, parameters: Sequence[Any]) -> None:
        found = await plan.fetch(*parameters)
        self._rows = collections.deque(self._read(found))
        counted = COUNTED.match(plan.get_statusmsg() or "")
        self.rowcount = int(counted[1]) if counted else -1

    def _read(self, found: Sequence[Any]) -> Sequence[Any]:
        """Rows, with JSON as values."""
        places = [n for n, column in enumerate(self.description or ()) if column[1] in JSON_TYPES]
        if not places:
            return found
        read = []
        for record in found:
            row = list(record)
            for n in places:
                row[n] = None if row[n] is None else json.loads(row[n])
            read.append(tuple(row))
        return read

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        found, self._rows = list(self._rows), collections.deque()
        return found

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """SQLAlchemy 2.1 asks for it; there is nothing to close."""

    def setinputsizes(self, *sizes: Any) -> None:
        """Nothing: asyncpg asks the server."""

    def __iter__(self) -> Any:
        while (row := self.fetchone()) is not None:
            yield row


class _Stream(_Cursor):
    """A cursor whose rows stay at the server until they are asked for: in the transaction, or in one of its own."""

    server_side = True

    def __init__(self, connection: Adapted) -> None:
        super().__init__(connection)
        self._portal: Any = None
        self._own = False

    async def _execute(self, operation: str, parameters: Sequence[Any]) -> None:
        driver = self.connection
        if driver.automatic and not driver.branch and not driver.is_in_transaction():
            with driver.own_statements():
                driver.left("a statement")
                await asyncpg.Connection.execute(driver, "BEGIN")
            self._own = driver.streaming = True
        else:
            await driver.begin()  # asyncpg looks whether a transaction is open before it sends anything
        await super()._execute(operation, parameters)

    async def _run(self, plan: Any, parameters: Sequence[Any]) -> None:
        with self.connection.as_begun():
            self._portal = await plan.cursor(*parameters)

    def _more(self, count: int) -> None:
        if self._portal is None:
            return
        self.connection.left("a statement")
        with self.connection.as_begun():
            found = self._drive(self._portal.fetch(count))
        self._rows.extend(self._read(found))
        if len(found) < count:
            self._over()

    def _over(self) -> None:
        self._portal = None
        if self._own:
            self._own = self.connection.streaming = False
            with self.connection.own_statements():
                self._drive(asyncpg.Connection.execute(self.connection, "COMMIT"))

    def fetchone(self) -> Any:
        if not self._rows:
            self._more(FEW)
        return super().fetchone()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        wanted = size or FEW
        if len(self._rows) < wanted:
            self._more(wanted - len(self._rows))
        return super().fetchmany(wanted)

    def fetchall(self) -> list[Any]:
        while self._portal is not None:
            self._more(BATCH)
        return super().fetchall()

    def close(self) -> None:
        super().close()
        if self.connection.stands and not self.connection.expired:
            self._over()


def waited(said: str) -> Exception:
    """The error of a wait that the deadline cut short."""
    kind: Any = WaitExpired  # untyped
    return kind(said)  # type: ignore[no-any-return]  # an exception
