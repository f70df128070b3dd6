# Generated from checkout_async.py by scripts/twins.py. Do not edit.
"""One connection of a pool in the hands of one block, and what becomes of it at the block's end.

1. What the next block could notice of this one closes the connection: an answer still to come or half read, a transaction,
   a setting.
2. A connection that comes back after its pool was closed is closed too, however the two ran into each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regionkit.backends.sql.bridge import drive
from regionkit.backends.sql.connection import BlockConnection
from regionkit.contract.guard import Guard
from regionkit.core.deadline import FOREVER, Deadline
from regionkit.facts.observation import Observation
from regionkit.facts.request import Kind

if TYPE_CHECKING:
    from regionkit.backends.sql.pool import SqlPool

__all__ = ["SqlCheckout"]

SNAPSHOT = {
    "postgresql": "REPEATABLE READ",
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
    "sqlite": "SERIALIZABLE",
}


class SqlCheckout:
    """One pooled connection, for one block. `keeps`: nothing was done to it that the next read could notice."""

    __slots__ = ("_deadline", "_endpoint", "_kind", "connection", "driver", "keeps", "observation")

    def __init__(self, endpoint: SqlPool, kind: Kind, connection: BlockConnection, deadline: Deadline) -> None:
        self._endpoint = endpoint
        self._kind = kind
        self._deadline = deadline
        self.keeps = False
        self.connection = connection
        connection.shown, info = False, connection.pooled.info
        driver = self.driver = connection.driver = info["driver"]
        self.observation: Observation = info["observation"]
        driver.start(self, deadline)

    def observe(self, within: float = FOREVER) -> Observation:
        """Ask the server where it stands, on this connection."""
        driver, deadline = self.driver, self._deadline
        if 0.0 < within < deadline.remaining():
            driver.deadline = Deadline(self._endpoint.clock, within)
        try:
            self.observation = drive(self._endpoint.server.observe, self.connection.pooled.dbapi_connection)
        finally:
            if not driver.expired:
                driver.deadline = deadline
        return self.observation

    def keep(self, guard: Guard) -> None:
        """Before each statement that finds the guard due, ask the server anew."""
        clock, server, driver = self._endpoint.clock, self._endpoint.server, self.driver
        connection = self.connection.pooled.dbapi_connection

        def before_statement() -> None:
            if guard.due(clock.monotonic()):
                guard.renew(server.observe(connection))

        driver.guard = before_statement

    def release(self) -> None:
        """Give the connection back, or close it."""
        driver = self.driver
        driver.guard = None
        try:
            if driver.holder is self and not self.connection.closed:  # else the user gave it back himself
                driver.settle()
                try:
                    if self._kind is Kind.WRITE and driver.used and not driver.restored:
                        self._restore()
                except BaseException:
                    driver.dirty = True
                    drive(self._give_back)
                    raise
                if not self._kept():
                    drive(self._give_back)
                elif self._endpoint.closed:
                    self._endpoint.empty()  # closed meanwhile, after its kept ones had been
        finally:
            self._endpoint.slots[self._kind].release()

    def _kept(self) -> bool:
        """Keep the connection for the next block of its kind where that is safe; whether it was kept."""
        connection, driver, reads = self.connection, self.driver, self._kind is Kind.READ
        kept = self._endpoint.kept if reads else self._endpoint.kept_writes
        if not self.keeps or len(kept) >= self._endpoint.most_kept:
            return False
        if connection.invalidated or connection.shown or self._unfit():
            return False
        handed = connection.handed
        if not (handed and reads) and (driver.busy or connection.in_transaction()):
            return False
        driver.deadline = None
        pooled = connection.pooled
        if handed or not reads:
            connection = connection.renewed()
        pooled.info["idle_since"] = self._endpoint.clock.monotonic()
        kept.append(connection)
        return True

    def _restore(self) -> None:
        """Put back what a write block set, where its end has not: it ended in a message of the block's own, or did not end."""
        driver, connection = self.driver, self.connection
        restore = getattr(connection.dialect, "restore", None)
        if restore is None or connection.invalidated or self._unfit():
            return
        under: Any = connection.pooled.dbapi_connection
        driver.dirty = driver.busy or not drive(restore, under)

    def _unfit(self) -> bool:
        """Whether the next block could notice this one: an answer still to come, a transaction or a setting left behind."""
        driver = self.driver
        deadline_error = driver.expired or self._deadline.remaining() <= 0.0
        left_behind = driver.dirty or driver.unread or driver.altered or (self._kind is Kind.READ and driver.busy)
        return deadline_error or left_behind or self._endpoint.closed

    def begin_snapshot(self) -> None:
        """What follows is one repeatable read."""
        connection = self.connection
        connection.execution_options(isolation_level=SNAPSHOT[connection.dialect.name])

    def end_snapshot(self) -> None:
        """Back to autocommit. Not left to SQLAlchemy's pool: it loses count of a connection that fails there."""
        connection = self.connection
        if self._kind is Kind.READ and "isolation_level" in connection.get_execution_options():
            under: Any = connection.pooled.dbapi_connection
            connection.dialect.reset_isolation_level(under)

    def _ended(self) -> bool:
        try:
            self.end_snapshot()
        except Exception:  # the block has its answer: only the connection is lost
            return False
        return True

    def _give_back(self) -> None:
        connection, driver = self.connection, self.driver
        if connection.invalidated:
            connection.close()
            return
        pool = connection.engine.pool
        if self._unfit() or not self._ended():
            connection.discard()
            return
        try:
            connection.close()
        finally:
            driver.deadline = None
            if self._endpoint.closed:
                pool.dispose()  # closed meanwhile: it came back after that pool had been emptied
