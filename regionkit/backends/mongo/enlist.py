# Generated from enlist_async.py by scripts/twins.py. Do not edit.
"""Joins a transaction of the application's; `contract/enlist_documents_async` says how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.database import Database

from regionkit.backends.mongo.client import BlockClient
from regionkit.backends.mongo.observation import term_of
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.enlist_documents import Documents
from regionkit.contract.unit import Committed
from regionkit.errors import ConfigurationError, UsageError

__all__ = ["Enlisted", "documents_of", "enlist"]

_JOINED = "_regionkit_joined"
"""Attribute of a session whose transaction was joined."""


class Enlisted:
    """Implements `EnlistedDocuments`. `origin`: the session's client; of a block what its endpoint is of."""

    def __init__(self, find: Callable[[], Documents], origin: Any) -> None:
        self._find = find
        self._origin = origin
        self._calls: list[Callable[[], object]] = []
        self._hearing: list[Callable[[Committed], object]] = []

    def documents(self) -> Documents:
        """What works inside of it, once it is known where it runs."""
        return self._find()

    def is_of(self, given: Any, store: str, namespace: str) -> bool:
        """Whether it is of the client of `given`; or a block of a kit's store of that name."""
        client = getattr(given, "client", None)
        if not isinstance(self._origin, EndpointContext):
            return bool(client == self._origin)
        own = self._origin.endpoint.client  # a database that somebody handed in
        if own is not None:
            return bool(client == own.client and given.name == own.name)
        return client is None and (self._origin.store.name, self._origin.namespace) == (store, namespace)

    def before_commit(self, call: Callable[[], object]) -> None:
        """Call `call` once, in the transaction, just before its commit."""
        self._calls.append(call)

    def on_outcome(self, hear: Callable[[Committed], object]) -> None:
        """Call `hear` once, with what became of the transaction."""
        self._hearing.append(hear)

    def last(self) -> None:
        """All that is to be done before the commit."""
        while self._calls:
            self._calls.pop(0)()

    def ended(self, outcome: Committed) -> None:
        """What became of it; only the first word counts."""
        self._calls.clear()
        hearing, self._hearing = self._hearing, []
        for hear in hearing:
            hear(outcome)


def documents_of(native: Any) -> Documents:
    """The database of an open block."""
    return Documents(native, None, native.client._handle.term)


def enlist(target: Any, database: str) -> Enlisted:
    """Join the transaction of a client session, or of a block's database.

    Raises:
        UsageError: there is no transaction.
        ConfigurationError: it is neither.
    """
    if isinstance(target, Database) and isinstance(target.client, BlockClient):
        handle: Any = target.client._handle
        if not handle.transactional:
            raise _no_transaction("open the block as s.write(store, transaction=True).")
        if handle.enlisted is None:

            def found() -> Documents:
                handle.ready()
                return documents_of(handle.database)

            handle.enlisted = Enlisted(found, handle.origin)
        joined: Enlisted = handle.enlisted
        return joined
    if isinstance(target, ClientSession):
        if not target.in_transaction:
            raise _no_transaction("begin one: with session.start_transaction(): ..., or session.with_transaction(...).")
        return _joined(target, database)
    raise ConfigurationError(
        f"a {type(target).__name__} has no transaction that can be joined.",
        fix=f"hand in an {ClientSession.__name__} with an open transaction, or the database of a block that is one.",
    )


def _joined(session: ClientSession, database: str) -> Enlisted:
    own = vars(session)
    if _JOINED in own:
        before: Enlisted = own[_JOINED]
        return before
    client = session.client

    def documents() -> Documents:
        return Documents(client[database], session, term_of(client.topology_description))

    joined = Enlisted(documents, client)
    commit, abort = session.commit_transaction, session.abort_transaction

    def leave() -> None:
        for name in (_JOINED, "commit_transaction", "abort_transaction"):
            own.pop(name, None)

    def committing() -> None:
        try:
            joined.last()
        except BaseException:
            aborting()  # else with_transaction could not begin anew
            raise
        leave()
        outcome: Committed = "unknown"
        try:
            commit()
            outcome = "yes"
        finally:
            joined.ended(outcome)

    def aborting() -> None:
        leave()
        try:
            abort()
        finally:
            joined.ended("no")

    own.update({_JOINED: joined, "commit_transaction": committing, "abort_transaction": aborting})
    return joined


def _no_transaction(fix: str) -> UsageError:
    return UsageError(
        "there is no transaction to join.",
        why="each write is separate there: the joined work could take effect without it.",
        fix=fix,
    )
