"""A transaction of the application's that regionkit joined: what runs before its COMMIT, and what became of it.

| #  | rule |
|----|------|
| 1  | Only the outermost end counts: COMMIT, ROLLBACK, COMMIT PREPARED. Of a session that joined a Connection's transaction the
|    | commit is none, unless it controls that one fully. |
| 2  | What was registered in a savepoint goes with it: rolled back, it is dropped and hears "no"; released, it stays. |
| 3  | Before COMMIT (PREPARE): the Session that commits is flushed until clean, then the calls run in their order, each followed
|    | by such a flush. An error of one rolls back, is "no", and is raised as it is. |
| 4  | With two phases the outcome is that of COMMIT PREPARED. What is prepared and then lost from sight is "unknown". |
| 5  | A transaction that ended past SQLAlchemy (`COMMIT` as text, the driver's commit, MariaDB's implicit ones, a rollback by
|    | the server) is "unknown"; the next registration and the commit raise. What stands open after it is rolled back. |
| 6  | A COMMIT that would do nothing since an error was swallowed (PostgreSQL) is not sent: "no", TransactionRolledBack. |
| 7  | A COMMIT without an answer is "unknown"; one that the server refused, or that was never sent, is "no" and rolled back. |
| 8  | close, invalidate, a forgotten session: "no", when SQLAlchemy or the garbage collector gives the transaction up. |
| 9  | One object per transaction; the next one starts anew. Nothing is kept in engines, classes or modules. |
| 10 | An error of who hears the outcome is logged, and the next one hears it too; an exit leaves after the last one heard. |
| 11 | Not seen: one transaction ended and another begun in a single statement on the driver's own cursor, or in a procedure. |

How: the transaction's own object gets a class whose COMMIT and ROLLBACK tell (its fields stay as they are). It lives as long
as the transaction, so nothing has to be taken back, and all that subclasses of Connection do at COMMIT happens inside of it.
The engine's commit event comes before COMMIT, and the session's after_commit inside a transaction that may yet roll back.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import orm
from sqlalchemy.engine import NestedTransaction, RootTransaction, TwoPhaseTransaction
from sqlalchemy.util.concurrency import in_greenlet

from regionkit.backends.sql.branch_connection import BranchConnection
from regionkit.backends.sql.connection import BlockConnection
from regionkit.backends.sql.enlist_joined import SqlEnlisted
from regionkit.backends.sql.enlist_server import commits_by_itself
from regionkit.backends.sql.enlist_transaction import joined_by, watch
from regionkit.errors import ConfigurationError, UsageError

__all__ = ["enlist"]

_NEEDED = (
    (RootTransaction, "_connection_commit_impl", "_connection_rollback_impl", "_deactivate_from_connection"),
    (NestedTransaction, "_do_commit", "_close_impl"),
    (TwoPhaseTransaction, "prepare"),
    (
        sqlalchemy.Connection,
        "_execute_context",
        "_is_autocommit_isolation",
        "get_transaction",
        "get_nested_transaction",
    ),
)


def enlist(target: Any) -> SqlEnlisted:
    """Join the transaction of a Session, a Connection, their asyncio forms or a scoped_session."""
    for kind, *names in _NEEDED:
        missing = [name for name in names if not hasattr(kind, name)]
        if missing:
            raise ConfigurationError(
                f"transactions of SQLAlchemy {sqlalchemy.__version__} cannot be joined: {kind.__name__} has no {missing[0]}.",
                fix="use SQLAlchemy 2.0.43 to 2.1.",
            )
    return _of(*_resolved(target))


def _resolved(target: Any) -> tuple[sqlalchemy.Connection, orm.Session | None]:
    if callable(getattr(target, "registry", None)):  # scoped_session, async_scoped_session
        target = target.registry()
    waits = hasattr(target, "sync_session")
    target = getattr(target, "sync_session", target)
    if hasattr(target, "sync_connection"):
        target = target.sync_connection
        if target is None:
            raise UsageError("the AsyncConnection is not started.", fix="async with engine.connect() as connection.")
    if isinstance(target, sqlalchemy.Connection):
        return target, None
    if not isinstance(target, orm.Session):
        raise ConfigurationError(
            f"a {type(target).__name__} has no transaction that can be joined.",
            fix="hand in a Session, AsyncSession, Connection, AsyncConnection or scoped_session.",
        )
    begun: Any = target.get_transaction()
    if begun is None and not target.autobegin:
        raise UsageError("the session has no transaction.", fix="begin one: with session.begin().")
    innermost: Any = target.get_nested_transaction() or begun
    if waits and not in_greenlet() and (begun is None or not innermost._connections):
        raise UsageError(
            "the AsyncSession (or its savepoint) has no connection yet, and enlist() cannot wait for one.",
            fix="await session.run_sync(enlist), or await session.connection() first.",
        )
    return target.connection(), target


def _of(connection: sqlalchemy.Connection, session: orm.Session | None) -> SqlEnlisted:
    root = connection.get_transaction()
    if root is None and isinstance(connection, BlockConnection) and not connection.closed:
        root = _begun(connection)
    if root is None or not root.is_active or connection.closed or connection.invalidated:
        raise UsageError("the connection has no open transaction.", fix="begin one: with connection.begin().")
    joined: SqlEnlisted | None = joined_by(root)
    if joined is not None and joined.of(root):
        joined.usable()
    else:
        _require_transactions(connection)
        watch(root)
        joined = SqlEnlisted(connection, root)
    if session is not None:
        joined.joins(session)
    return joined


def _begun(connection: BlockConnection) -> RootTransaction:
    """A block is a transaction: its connection begins with the first statement, and may begin here."""
    if connection.dialect.is_async and not in_greenlet():
        raise UsageError(
            "the block's transaction has not begun, and enlist() cannot wait for it.",
            fix="await connection.run_sync(enlist), or run a statement first.",
        )
    _require_transactions(connection)
    return connection.begin()


def _require_transactions(connection: sqlalchemy.Connection) -> None:
    state = connection.state if isinstance(connection, BranchConnection) else None
    if state is not None and state.reading:
        raise UsageError(
            "a branch that was declared reading cannot be joined.",
            why="what is done before its COMMIT would be lost: it has none.",
            fix="open it without read_only=True.",
        )
    if state is not None:  # the driver commits by itself there, but the pillar began a transaction on the server
        return
    if commits_by_itself(connection):
        raise UsageError(
            "each statement commits on its own here: there is no transaction to join.",
            why="the isolation level is AUTOCOMMIT, the driver commits by itself, or it is a read block.",
            fix="begin a transaction on a connection without AUTOCOMMIT; in a kit, use a write block.",
        )
