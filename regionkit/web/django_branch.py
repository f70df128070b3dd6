"""Django's ORM in a branch of a global transaction: `with tm.begin() as tx, django_branch(tx, "orders", using="default"):`

1. For the length of the block the alias stands, in this thread, for a second wrapper over the branch's own driver connection.
   Django's own connection is left as it is; what it has open is no part of the transaction, so it may have nothing open.
2. On PostgreSQL the cursors and adapters of Django's own connection are used, and its time zone is set for the branch; SQLite is
   given Django's functions.
3. To Django an atomic block is open that somebody else ends: `atomic()` inside is a savepoint; commit, rollback, autocommit,
   close and `atomic(durable=True)` are refused.
4. An exception that leaves the block dooms the transaction, and so does an error that Django has marked for rollback.
5. After the block the second wrapper and the cursors made by it are closed: who has kept one would write on a connection that
   serves others by then.
6. `transaction.on_commit` hooks run when COMMIT is decided, in another thread: `tx.on_committed` says how.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from regionkit.errors import ConfigurationError, UsageError
from regionkit.topology.validation import shown
from regionkit.transactions.transaction import Transaction

__all__ = ["django_branch"]

OUTER = SimpleNamespace(_from_testcase=False)
"""Stands for the atomic block that is open, so that Django refuses a durable one inside."""


@contextlib.contextmanager
def django_branch(tx: Transaction, name: str, *, using: str = "default") -> Iterator[None]:
    """A block in which Django's database `using` is branch `name`: what its ORM does commits or rolls back with `tx`.

    Of the thread that it is used in: other threads go on with their own connections. May be used several times in one
    transaction, one block after the other.

    Args:
        tx: of a TransactionManager, or of a kit's session.
        name: of the participant, whose engine leads to the database that `using` is.
        using: Django's alias.

    Raises:
        ConfigurationError: a driver that the two do not share; on SQLite, a participant without foreign_keys=True.
        UsageError: Django has a transaction of its own open there, or is a branch there already.
        RegionUnavailable, DeadlineExceeded: the branch could not be opened.
    """
    from django.db import connections

    if not isinstance(tx, Transaction):
        raise ConfigurationError(
            f"{shown(tx)} is no Transaction.", fix="Django's ORM runs in threads: begin with a sync TransactionManager."
        )
    own = connections[using]
    if OUTER in own.atomic_blocks:
        raise UsageError(
            f"Django's {using!r} is a branch already.",
            why="a django_branch around this one has not ended.",
            fix="use one block; atomic() inside is a savepoint.",
        )
    if not own.get_autocommit():
        raise UsageError(
            f"Django has a transaction open on {using!r}.",
            why="it is on another connection, and commits or rolls back by itself.",
            fix="leave ATOMIC_REQUESTS off or use @transaction.non_atomic_requests, and call it outside of atomic(); leave "
            "AUTOCOMMIT of the database on; tests need a TransactionTestCase.",
        )
    held = own.copy()
    held.connection = _lent(own, tx.connection(name).connection.driver_connection, name)
    held.autocommit, held.in_atomic_block, held.atomic_blocks = False, True, [OUTER]
    held.close = _refuse
    for watched in ("execute_wrappers", "queries_log", "force_debug_cursor"):  # who watches the alias goes on watching
        setattr(held, watched, getattr(own, watched))
    _prepare(own, held, name)
    connections[using] = held
    try:
        yield
        if held.needs_rollback:
            tx.doom(f"Django marked {using!r} for rollback: {held.rollback_exc or 'set_rollback(True)'}")
    except BaseException as error:
        tx.doom(f"{type(error).__name__} left the block of Django's {using!r}")
        raise
    finally:
        connections[using] = own
        _close(held)
    for _, call, _ in held.run_on_commit:
        tx.on_committed(_hook(call))


def _lent(own: Any, driver: Any, name: str) -> Any:
    """The branch's driver connection as Django uses one."""
    if own.vendor == "sqlite" and hasattr(driver, "create_function"):
        return driver
    if own.vendor == "postgresql" and _is_psycopg(own.connection) and _is_psycopg(driver):
        return _LentPsycopg(own.connection, driver)
    raise ConfigurationError(
        f"Django's {own.display_name} database {own.alias!r} and participant {name!r} do not share a driver.",
        why=f"Django sends its statements on the branch's own connection, which is a {type(driver).__name__}.",
        fix="it can be done on PostgreSQL with psycopg 3, and on SQLite; use SQLAlchemy in the other branches.",
    )


def _is_psycopg(connection: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == "psycopg" for kind in type(connection).__mro__)


class _LentPsycopg:
    """A psycopg connection with the cursors and adapters of another one. Not in autocommit mode: a transaction is open."""

    autocommit = False

    def __init__(self, own: Any, driver: Any) -> None:
        self._own, self._driver = own, driver
        self.adapters, self.cursor_factory = own.adapters, own.cursor_factory
        self.server_cursor_factory, self.row_factory = own.server_cursor_factory, own.row_factory
        self.cursors: list[weakref.ref[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def cursor(self, *args: Any, **options: Any) -> Any:
        """As the other one makes it, sending on this one."""
        made = type(self._own).cursor(self, *args, **options)
        self.cursors.append(weakref.ref(made))
        return made

    def close(self) -> None:
        """Raise: the branch's end is the transaction's."""
        _refuse()

    commit = rollback = close


def _close(held: Any) -> None:
    """The wrapper and its cursors: Django refuses to use them, or to connect anew. SQLite's end with the branch's connection."""
    lent, held.connection, held.closed_in_transaction = held.connection, None, True
    for kept in getattr(lent, "cursors", ()):
        cursor = kept()
        if cursor is not None:
            with contextlib.suppress(Exception):  # the connection may be lost: then nothing can be sent there
                cursor.close()


def _refuse() -> None:
    raise UsageError(
        "Django's connection was ended inside of a global transaction.",
        why="the branch commits or rolls back with the transaction, and with nothing else.",
        fix="leave commit, rollback, close and close_old_connections() outside of the block.",
    )


def _prepare(own: Any, held: Any, name: str) -> None:
    """What Django does with a new connection."""
    driver = held.connection
    if own.vendor == "postgresql":
        zone = own.connection.info.parameter_status("TimeZone")
        if driver.info.parameter_status("TimeZone") != zone:
            with held.cursor() as cursor:
                cursor.execute("SELECT set_config('TimeZone', %s, true)", [zone])
        return
    from django.db.backends.sqlite3.base import register_functions

    if driver.execute("PRAGMA foreign_keys").fetchone()[0] == 0:
        raise ConfigurationError(
            f"participant {name!r} does not enforce foreign keys, and Django's database {own.alias!r} does.",
            why="SQLite takes that setting only before a transaction.",
            fix="make it by SqliteParticipant(name, engine, namespace=..., foreign_keys=True).",
        )
    register_functions(driver)


def _hook(call: Callable[[], Any]) -> Callable[[], None]:
    """A hook of Django's, which may use the ORM: what it opens in a thread of the coordinator's is closed there."""
    thread = threading.get_ident()

    def run() -> None:
        from django.db import connections

        try:
            call()
        finally:
            if threading.get_ident() != thread:
                connections.close_all()

    return run
