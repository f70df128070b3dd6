# Generated from enlist_documents_async.py by scripts/twins.py. Do not edit.
"""Joining a transaction on documents: one of the application's own client session, or a block that is one.

PyMongo has no events of a commit. Of a session that was joined, the next `commit_transaction` and `abort_transaction` go through
here, also those of its `with` and of `with_transaction`; afterwards it is as it was. A block calls by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from regionkit.contract.unit import Committed

__all__ = ["Documents", "EnlistedDocuments", "documents_of", "enlist_documents"]

IS_ASYNC = False


class Documents(NamedTuple):
    """Where to read and write: a database, and the session that each call has to be given; None where it has its own.

    `term`: of the election of the primary, as far as is known here; 0: not at all.
    """

    database: Any
    session: Any = None
    term: int = 0


class EnlistedDocuments(Protocol):
    """A transaction that was joined. It serves the thread (task) that the transaction serves, and ends with it."""

    def documents(self) -> Documents:
        """What works inside of it, once it is known where it runs."""
        ...

    def is_of(self, given: Any, store: str, namespace: str) -> bool:
        """Whether it is of the client of `given`; or a block of a kit's store of that name."""
        ...

    def before_commit(self, call: Callable[[], object]) -> None:
        """Call `call` once, in the transaction, just before its commit. An error of it aborts, and is what the commit raises."""
        ...

    def on_outcome(self, hear: Callable[[Committed], object]) -> None:
        """Call `hear` once, with what became of the transaction."""
        ...


def enlist_documents(target: Any, database: str) -> EnlistedDocuments:
    """Join the transaction of a client session of PyMongo's, or of a block's database. Twice in one gives the same object.

    Args:
        target: the session, or the database.
        database: of the session's client, whose documents are meant.

    Raises:
        UsageError: there is no transaction; the error says how to begin one.
        ConfigurationError: it is neither.
    """
    joined: EnlistedDocuments = _family().enlist(target, database)
    return joined


def documents_of(native: Any) -> Documents:
    """The database of an open unit."""
    documents: Documents = _family().documents_of(native)
    return documents


def _family() -> Any:
    return import_module(f"regionkit.backends.mongo.enlist{'_async' if IS_ASYNC else ''}")
