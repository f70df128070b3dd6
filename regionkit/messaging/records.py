# Generated from records_async.py by scripts/twins.py. Do not edit.
"""Where `idempotent` keeps what was called: one class for each kind of store, of a kit's store or of the application's own.

    >>> store = SqlRecords(engine)
    >>> store.create_tables()
    >>> store = SqlRecords(kit, store="orders")

A store is opened when it is first used. `close()` ends its connections, never what was handed in.
"""

from __future__ import annotations

import itertools
import os
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar
from weakref import WeakSet

from regionkit.contract.backing import Backing, backing_of
from regionkit.contract.kept_tables import make_with_kit
from regionkit.core.clock import SYSTEM_CLOCK
from regionkit.core.concurrency import owner
from regionkit.core.deadline import Deadline
from regionkit.errors import ConfigurationError
from regionkit.messaging.claiming import Claims, async_claims_of
from regionkit.messaging.claims.memory import MemoryClaims
from regionkit.messaging.heart import Heart
from regionkit.messaging.own_loop import InOwnLoop

__all__ = [
    "CallRecords",
    "CassandraRecords",
    "MemoryRecords",
    "MongoRecords",
    "RedisRecords",
    "SqlRecords",
]

IS_ASYNC = False
MAKE_WITHIN = 30.0
"""Seconds that making the table may take: another process may be at it."""
SWEEP_WITHIN = 30.0
"""Seconds that one sweep may take."""
OWNER = 16
"""Bytes of the word that tells one claim from all others."""
_ALIVE: WeakSet[CallRecords] = WeakSet()
"""All records of this process, for a child that is forked."""


class CallRecords:
    """Records of calls. Safe to share between threads (tasks of one loop).

    Args:
        given: what keeps them; each class says what it takes. A kit, with `store`.
        store: which of a kit's stores.
        namespace: prefix of all that is kept there; a kit's own counts for its stores.
    """

    servers: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[str] = ""
    is_async: ClassVar[bool] = IS_ASYNC

    def __init__(self, given: Any, *, store: str | None = None, namespace: str = "regionkit") -> None:
        self._given = given
        self._store = store
        self._namespace = namespace
        self._inherited: list[Any] = []
        _ALIVE.add(self)
        make_with_kit(given, self)
        if store is None:
            self._checked(backing_of(given, namespace=namespace))  # a mistake is raised where it was made

    @staticmethod
    def owner() -> bytes:
        """A word that tells one claim from all others."""
        return os.urandom(OWNER)

    def _checked(self, backing: Backing) -> Backing:
        server = backing.capabilities.server
        if server not in self.servers:
            raise ConfigurationError(
                f"{type(self).__name__} cannot keep records in {server}.", fix=f"hand in {self.takes}."
            )
        return backing

    def _open(self, given: Any) -> Claims:
        backing = backing_of(given, namespace=self._namespace, store=self._store)
        return async_claims_of(self._checked(backing))

    @cached_property
    def claims(self) -> Claims:
        """The claims; opened when they are first asked for."""
        return self._open(self._given)

    @cached_property
    def heart(self) -> Heart:
        """What keeps their leases alive."""
        self._loop: Any = owner()
        return Heart(self._renewing, SYSTEM_CLOCK)

    def _renewing(self) -> Claims:
        """The claims that the thread of the heart renews by: it closes them."""
        renewing: Any
        if not IS_ASYNC:
            renewing = _Lent(self.claims)
        elif self._store is not None:  # a kit stays in its loop
            renewing = InOwnLoop(self.claims, self._loop)
        else:
            renewing = self._open(_with_its_own_pool(self._given))
        lent: Claims = renewing
        return lent

    def _renew(self) -> None:
        """After a fork: nothing of the parent's is used or closed here."""
        opened = vars(self)
        self._inherited += [opened.pop("claims", None), opened.pop("heart", None), self._given]
        self._given = _with_its_own_pool(self._given)

    def create_tables(self) -> None:
        """Make the table, where there is one to make. Many processes may do it at once.

        Raises:
            RegionUnavailable, DeadlineExceeded: it was not done.
            ConfigurationError: it is there in another version.
        """
        self.claims.create_tables(Deadline(SYSTEM_CLOCK, MAKE_WITHIN))

    def sweep(self) -> int:
        """Take away records that are over, a bounded number; how many. Call it again while there are some, now and then.

        Redis, MongoDB and Cassandra do it by themselves.
        """
        return self.claims.sweep(within=SWEEP_WITHIN)

    def close(self) -> None:
        """End what was opened. May be called twice."""
        opened = vars(self)
        if "heart" in opened:
            self.heart.close()
        if "claims" in opened:
            self.claims.close()


class _Lent:
    """Claims that are closed by somebody else."""

    def __init__(self, claims: Any) -> None:
        self.step = claims.step

    def close(self) -> None:
        """They stay open."""


def _with_its_own_pool(given: Any) -> Any:
    """An engine with a pool of its own: the connections in the other one are another loop's, or another process's.

    Clients of other families are copied by their backing, and a Cassandra session belongs to no loop.
    """
    if not any(kind.__module__.partition(".")[0] == "sqlalchemy" for kind in type(given).__mro__):
        return given
    return import_module("regionkit.messaging.claims.sql").another_engine(given)


class SqlRecords(CallRecords):
    """In PostgreSQL, MariaDB, MySQL or SQLite: a row a call, in a transaction of its own. `create_tables()` once."""

    servers = ("postgresql", "mariadb", "mysql", "sqlite")
    takes = "a SQLAlchemy engine, or a kit and the name of its store"


class RedisRecords(CallRecords):
    """In Redis or Valkey: a hash a call. A server that evicts, or fails over, can lose calls that it has answered."""

    servers = ("redis",)
    takes = "a client of redis-py, or a kit and the name of its store"


class MongoRecords(CallRecords):
    """In a MongoDB replica set: a document a call, acknowledged by a majority. `create_tables()` once."""

    servers = ("mongodb",)
    takes = "a database of PyMongo, or a kit and the name of its store"


class CassandraRecords(CallRecords):
    """In Cassandra: a row a call, by conditional statements at SERIAL. `create_tables()` once."""

    servers = ("cassandra",)
    takes = "a session of the Cassandra driver, or a kit and the name of its store"


_number = itertools.count().__next__


class MemoryRecords(CallRecords):
    """In this process, for tests and for calls that no other process makes. Gone with it."""

    def __init__(self) -> None:
        super().__init__(None, store="")
        self.claims = MemoryClaims()

    @staticmethod
    def owner() -> bytes:
        """All claims are this process's: a number tells them apart."""
        return _number().to_bytes(OWNER, "big")

    def _renewing(self) -> Claims:
        return self.claims  # a table under a lock: any thread may use it

    def _renew(self) -> None:
        vars(self).pop("heart", None)
        self.claims = MemoryClaims()  # what the parent's calls are about is the parent's


def _after_fork() -> None:
    for records in list(_ALIVE):
        records._renew()


os.register_at_fork(after_in_child=_after_fork)
