"""SQLite through sqlite3 and aiosqlite: one file is one endpoint.

A write block begins IMMEDIATE: it waits for the file's one writer before it reads, not at its end. The position is a
counter that each write block raises in its own transaction; commits that no kit made do not move it (declared).
A URL may name an outage file (`?outage=PATH`): while it exists, every statement and every new connection fails, in all
processes. That is how a drill takes a region down. With it, a connection also breaks once its path leads to another file:
a region that became a copy of another is a new file (regionkit.embedded).
"""

from __future__ import annotations

import functools
import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from regionkit.backends.sql.driver import CONNECT_DEADLINE, DriverState, as_driver
from regionkit.backends.sql.message_sqlite import answered

__all__ = ["AsyncSqliteDialect", "SqliteDialect"]

STEPS_BETWEEN_CHECKS = 20_000
"""Virtual machine steps between two looks at the deadline: about a millisecond of work."""


ENDS_BY_COMMIT = re.compile(r"\s*(?:--[^\n]*\n|/\*(?:[^*]|\*(?!/))*+\*/|\s)*+(?:COMMIT|END)\b", re.IGNORECASE)
ENDS_IN_SCRIPT = re.compile(r"\b(?:COMMIT|END|ROLLBACK)\b", re.IGNORECASE)
MOST_CURSORS = 64
"""Cursors of a block that are remembered before those that are gone are looked for."""
LASTS = re.compile(r"\s*(?:PRAGMA|ATTACH|DETACH|CREATE\s+TEMP)", re.IGNORECASE)
"""Statements that outlive their block: its connection is closed."""


class Outage(sqlite3.OperationalError):
    """The outage file is there: this region is down."""

    sqlite_errorname = "SQLITE_CANTOPEN"


class Missing(sqlite3.OperationalError):
    """A copy's file is not there; SQLite would make an empty one."""

    sqlite_errorname = "SQLITE_CANTOPEN"


class _Cursor(sqlite3.Cursor):
    """A cursor of `Bounded`."""

    connection: Bounded

    def execute(self, *args: Any) -> Any:
        connection = self.connection
        connection.touched()
        within = connection.in_transaction
        found = super().execute(*args)
        if within and not connection.in_transaction:
            connection.left_transaction(str(args[0]))
        return found

    def executemany(self, *args: Any) -> Any:
        self.connection.touched()
        return super().executemany(*args)

    def executescript(self, *args: Any) -> Any:
        self.connection.touched()
        within = self.connection.in_transaction
        found = super().executescript(*args)
        for end in ENDS_IN_SCRIPT.findall(str(args[0])) if within else ():
            self.connection.left_transaction(end)
        return found


@functools.lru_cache(maxsize=64)
def _noting(factory: Any) -> Any:
    """A class of cursors (Django's) above ours; a function that makes one is taken as it is."""
    is_class = isinstance(factory, type) and issubclass(factory, sqlite3.Cursor)
    return type(factory.__name__, (factory, _Cursor), {}) if is_class and not issubclass(factory, _Cursor) else factory


class Bounded(DriverState, sqlite3.Connection):
    """A sqlite3 connection that the deadline interrupts."""

    autocommitting = False
    reads = False
    outage: Path | None = None
    path = ""
    inode = ""
    position_table = ""
    busy_timeout = 0.0
    raised: int | None = None
    ending = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cursors: list[weakref.ref[sqlite3.Cursor]] = []
        self.most_cursors = MOST_CURSORS

    @property
    def busy(self) -> bool:
        """Whether a transaction is open on it."""
        return self.in_transaction

    def cursor(self, factory: Any = None) -> Any:
        """A cursor that notes what is run on it, also one of somebody else's class."""
        return super().cursor(_Cursor if factory is None else _noting(factory))

    def touched(self) -> None:
        """Something is about to run, by whomever; what SQLAlchemy does not know of may outlive the block."""
        super().touched()
        self.dirty |= not self.announced

    @property
    def altered(self) -> bool:
        """Whether its rows are no tuples, or its texts no strings."""
        return self.row_factory is not None or self.text_factory is not str

    def left_transaction(self, statement: str) -> None:
        """A statement of the user's ended the transaction; regionkit's own COMMIT and ROLLBACK have said so before."""
        if self.commit_state == "sent" or self.ending:
            return
        self.ended_by("COMMIT" if ENDS_BY_COMMIT.match(statement) else "ROLLBACK")

    def commit(self) -> None:
        """The driver's own, by the user."""
        within = self.in_transaction
        super().commit()
        if within:
            self.left_transaction("COMMIT")

    def rollback(self) -> None:
        """The driver's own, by the user."""
        within = self.in_transaction
        super().rollback()
        if within:
            self.left_transaction("ROLLBACK")

    def note(self, cursor: sqlite3.Cursor) -> None:
        """Remember a cursor; those that are gone are forgotten now and then."""
        if len(self.cursors) >= self.most_cursors:
            self.cursors = [reference for reference in self.cursors if reference() is not None]
            self.most_cursors = max(MOST_CURSORS, 2 * len(self.cursors))
        self.cursors.append(weakref.ref(cursor))

    def settle(self) -> None:
        """Close what is left of results: an open cursor pins its snapshot, and the next block would read the past."""
        cursors, self.cursors = self.cursors, []
        for reference in cursors:
            cursor = reference()
            if cursor is not None:
                cursor.close()

    def committed(self) -> None:
        """COMMIT was answered, and with it the position that was raised."""
        super().committed()
        self.position = self.raised

    def wait_for_locks(self, seconds: float) -> None:
        """How long SQLite itself waits for a lock; set anew only when it has changed much."""
        if not 0.8 * self.busy_timeout <= seconds <= 1.5 * self.busy_timeout:
            self.busy_timeout = seconds
            with self.own_statements():
                self.execute(f"PRAGMA busy_timeout = {max(1, int(seconds * 1000))}")

    def over(self) -> int:
        """Asked by SQLite every some steps: 1 interrupts the statement."""
        return int(self.deadline is not None and self.deadline.remaining() <= 0.0)

    def require_up(self) -> None:
        """Raise while the outage file is there, or when the path leads to another file now."""
        if self.outage is not None:
            if self.outage.exists():
                raise Outage("the region is down (its outage file is there)")
            if inode_of(self.path) != self.inode:
                raise Outage("the region's file was replaced by another")


def inode_of(path: str) -> str:
    """Which file a path leads to; "" when to none."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # each statement asks, and Path.stat() takes twice as long
    except OSError:
        return ""
    return f"{stat.st_dev}:{stat.st_ino}"


class _Dialect:
    """What both forms of the dialect share."""

    def bounded(self, dbapi_connection: Any) -> Bounded:
        """The sqlite3 connection, below aiosqlite's and SQLAlchemy's wrappers."""
        bounded: Bounded = as_driver(dbapi_connection)
        return bounded

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        outage = kwargs.pop("outage", None)
        read = kwargs.pop("read")
        position_table = kwargs.pop("position_table")
        if kwargs.pop("copy") and not Path(args[0]).exists():
            raise Missing("unable to open database file: a copy's file has to be there")
        if outage and Path(outage).exists():
            raise Outage("the region is down (its outage file is there)")
        deadline = CONNECT_DEADLINE.get()
        wait = 0.0 if deadline is None else max(0.0, deadline.remaining())
        kwargs.update(factory=Bounded, isolation_level=None, timeout=wait, check_same_thread=False)
        inode = inode_of(args[0]) if outage else ""
        connection = super().connect(*args, **kwargs)  # type: ignore[misc]
        driver = self.bounded(connection)
        if outage:
            driver.outage, driver.path, driver.inode = Path(outage), args[0], inode
        driver.autocommitting = driver.reads = read
        driver.position_table, driver.busy_timeout = position_table, wait
        driver.set_progress_handler(driver.over, STEPS_BETWEEN_CHECKS)
        if read:
            driver.execute("PRAGMA query_only = ON")  # on the bare connection: nothing to wait for, or to cancel
        return connection

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        self.bounded(dbapi_connection).autocommitting = level == "AUTOCOMMIT"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "AUTOCOMMIT" if self.bounded(dbapi_connection).autocommitting else "SERIALIZABLE"

    def detect_autocommit_setting(self, dbapi_connection: Any) -> bool:
        return self.bounded(dbapi_connection).autocommitting

    def do_begin(self, dbapi_connection: Any) -> None:
        """BEGIN IMMEDIATE for a write, BEGIN for a snapshot, nothing in autocommit."""
        driver = self.bounded(dbapi_connection)
        if driver.autocommitting or driver.in_transaction:
            return
        driver.require_up()
        left = driver.left("waiting for the file's writer")
        if left is not None:
            driver.wait_for_locks(left)
        self._run(dbapi_connection, "BEGIN" if driver.reads else "BEGIN IMMEDIATE")

    def do_commit(self, dbapi_connection: Any) -> None:
        """Raise the position and COMMIT, in one transaction."""
        driver = self.bounded(dbapi_connection)
        if driver.busy:
            driver.require_up()
            last = functools.partial(self.before_commit, dbapi_connection)
            driver.send_commit(lambda: self._run(dbapi_connection, "COMMIT"), functools.partial(answered, driver), last)

    def before_commit(self, dbapi_connection: Any) -> None:
        """Raise the position, where something may have been written."""
        driver = self.bounded(dbapi_connection)
        counts = driver.total_changes or driver.used
        driver.raised = self._raise_position(dbapi_connection, driver) if counts else None

    def _raise_position(self, dbapi_connection: Any, driver: Bounded) -> int | None:
        with driver.own_statements():
            return self._raised(dbapi_connection, driver)

    def _raised(self, dbapi_connection: Any, driver: Bounded) -> int | None:
        cursor = dbapi_connection.cursor()
        try:
            cursor.execute(f"UPDATE {driver.position_table} SET value = value + 1 WHERE id = 1 RETURNING value")  # noqa: S608
            row = cursor.fetchone()
            return None if row is None else int(row[0])
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
        finally:
            cursor.close()

    def do_rollback(self, dbapi_connection: Any) -> None:
        driver = self.bounded(dbapi_connection)
        if driver.in_transaction:
            driver.rolling_back()
            self._run(dbapi_connection, "ROLLBACK")

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement, unless the region is down or the deadline passed."""
        self._guarded(super().do_execute, cursor, statement, parameters, context)  # type: ignore[misc]  # of the dialect mixed with

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run one statement with several rows of parameters."""
        self._guarded(super().do_executemany, cursor, statement, parameters, context)  # type: ignore[misc]  # as above

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """Run one statement as it is."""
        self._guarded(super().do_execute_no_params, cursor, statement, context)  # type: ignore[misc]  # as above

    def _guarded(self, run: Callable[..., None], cursor: Any, *arguments: Any) -> None:
        is_plain = isinstance(cursor, sqlite3.Cursor)
        driver: Any = (
            cursor.connection if is_plain else cursor._connection._conn
        )  # of SQLAlchemy's adapter, of aiosqlite
        driver.require_up()
        left = driver.left("a statement")
        if driver.autocommitting and left is not None:
            driver.wait_for_locks(left)
        driver.sending()
        try:
            run(cursor, *arguments)
        finally:
            driver.announced = False
        alone = driver.autocommitting and not driver.branch
        driver.dirty |= (alone and cursor.description is None) or LASTS.match(arguments[0]) is not None
        if is_plain:
            driver.note(cursor)

    def is_disconnect(self, error: Any, connection: Any, cursor: Any) -> bool:
        """Whether the connection is of no more use."""
        return isinstance(error, Outage) or super().is_disconnect(error, connection, cursor)  # type: ignore[misc]

    def _run(self, dbapi_connection: Any, statement: str) -> None:
        driver = self.bounded(dbapi_connection)
        with driver.own_statements():
            driver.ending = True
            try:
                cursor = dbapi_connection.cursor()
                cursor.execute(statement)
                cursor.close()
            finally:
                driver.ending = False


def stop(connection: Any) -> None:
    """End an aiosqlite connection and its thread, without a future that would outlive the event loop."""
    stopping = threading.Thread(target=connection.stop)  # in a thread without a loop aiosqlite makes no future
    stopping.start()
    stopping.join()


def _in_quiet_thread(*args: Any, factory: Any = sqlite3.Connection, **kwargs: Any) -> Any:
    """An aiosqlite connection, not open yet. Its thread may still have to answer when the event loop is closed already.

    What it opened is closed with it, also where nobody waited for it any more: aiosqlite does not know of that one.
    """
    import aiosqlite

    opened: list[sqlite3.Connection] = []

    def noted(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        opened.append(factory(*args, **kwargs))
        return opened[-1]

    connection = aiosqlite.connect(*args, factory=noted, **kwargs)
    thread: Any = connection._thread
    work, tasks = thread._target, connection._tx

    def quietly() -> None:
        done = False
        while not done:
            try:
                work(tasks)
                done = True
            except RuntimeError:  # nobody is left to be answered; what was asked is still done, closing above all
                done = tasks.empty()
        for each in opened:
            each.close()

    thread.daemon, thread.run = True, quietly
    return connection


class SqliteDialect(_Dialect, SQLiteDialect_pysqlite):
    """SQLite for threads."""

    supports_statement_cache = True


class AsyncSqliteDialect(_Dialect, SQLiteDialect_aiosqlite):
    """SQLite for asyncio. Closing never waits: aiosqlite's own close hangs when it is cancelled half-way."""

    supports_statement_cache = True

    def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Open it in a thread that outlives the event loop in silence. One that nobody waits for any more is closed."""
        made: list[Any] = []

        def create(*args: Any, **kwargs: Any) -> Any:
            made.append(_in_quiet_thread(*args, **kwargs))
            return made[-1]

        try:
            return super().connect(*args, async_creator_fn=create, **kwargs)
        except BaseException:
            for connection in made:
                stop(connection)
            raise

    def do_close(self, dbapi_connection: Any) -> None:
        """Close it in its thread, after what runs there."""
        stop(dbapi_connection._connection)

    do_terminate = do_close
