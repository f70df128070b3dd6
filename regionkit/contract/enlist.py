"""Joining a transaction of the application's: what is registered commits with it, and hears what became of it.

    enlisted = enlist(session)
    enlisted.before_commit(lambda: enlisted.execute("INSERT INTO outbox (body) VALUES (:body)", {"body": "ordered"}))
    enlisted.on_outcome(print)
    session.commit()  # runs the INSERT just before its COMMIT, then prints "yes"

Only the end of the outermost transaction counts. When in doubt the outcome is "unknown", never "yes" and never "no". One
case cannot be detected: a single statement on the driver's own cursor, or a procedure, ends the transaction and begins another.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from regionkit.contract.unit import Committed
from regionkit.errors import ConfigurationError

__all__ = ["Enlisted", "enlist"]


class Enlisted(Protocol):
    """A transaction that was joined. It serves the thread (task) that the transaction serves, and ends with it."""

    @property
    def connection(self) -> Any:
        """The transaction's SQLAlchemy Connection; the sync one under asyncio too.

        Raises:
            UsageError: the transaction is over.
        """
        ...

    @property
    def dialect_name(self) -> str:
        """SQLAlchemy's name of the SQL that is spoken: "postgresql", "mariadb", "mysql", "sqlite"."""
        ...

    def before_commit(self, call: Callable[[], object]) -> None:
        """Call `call` once, in the transaction, just before its COMMIT (before PREPARE, where there are two phases).

        It is a plain function in asyncio too: there SQLAlchemy's greenlet runs it. Calls run in the order of registration. An
        error of one rolls back, and is what the commit raises. One registered in a savepoint that is rolled back is dropped.

        Raises:
            UsageError: the transaction is over, or was ended past SQLAlchemy.
        """
        ...

    def on_outcome(self, hear: Callable[[Committed], object]) -> None:
        """Call `hear` once, with what became of the work that was done up to here: "yes", "no" or "unknown".

        It hears "no" at once when the savepoint that it was registered in is rolled back. An error of `hear` is logged. It may
        be called by the garbage collector, when the transaction was forgotten: it must not use the connection.

        Raises:
            UsageError: the transaction is over, or was ended past SQLAlchemy.
        """
        ...

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        """Run a statement (or a text) in the transaction, past the ORM. Its Result. In asyncio: inside a greenlet.

        Raises:
            UsageError: the transaction is over, or was ended past SQLAlchemy.
        """
        ...


def enlist(target: Any) -> Enlisted:
    """Join the transaction of a Session, a Connection, their asyncio forms or a scoped_session; of any engine, or of a block.

    Twice in one transaction gives the same object. A Session begins by itself, as with its first statement. An AsyncSession
    that has no connection yet cannot be waited for here: `await session.run_sync(enlist)` can.

    Raises:
        UsageError: there is no transaction, or each statement commits by itself; the error says what to do.
        ConfigurationError: it is none of these, or this SQLAlchemy is not one that can be joined.
    """
    if not any(kind.__module__.partition(".")[0] == "sqlalchemy" for kind in type(target).__mro__):
        raise ConfigurationError(
            f"a {type(target).__name__} has no transaction that can be joined.",
            fix="hand in a SQLAlchemy Session, AsyncSession, Connection, AsyncConnection or scoped_session.",
        )
    joined: Enlisted = import_module("regionkit.backends.sql.enlist").enlist(target)
    return joined
