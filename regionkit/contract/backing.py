# Generated from backing_async.py by scripts/twins.py. Do not edit.
"""A backing: where a pillar's rows live. A kit's store, or one engine, client or database of the application's.

`backing_of` finds out what it was given by the module of its class, and imports nothing else. Pillars see these names
only; there is no second way "without a kit".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from regionkit.contract.capabilities import Capabilities
from regionkit.contract.endpoint import EndpointBackend
from regionkit.contract.endpoint_context import EndpointContext
from regionkit.contract.records import Records
from regionkit.contract.unit import Unit
from regionkit.core.clock import SYSTEM_CLOCK, Clock
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import SESSION, Consistency
from regionkit.facts.stamp import Owner, Stamp
from regionkit.topology import (
    CassandraStore,
    Endpoint,
    MemoryStore,
    MongoStore,
    RedisStore,
    Role,
    SqlStore,
    Store,
    profile,
)
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["Backing", "Plain", "backing_of"]

IS_ASYNC = False


class Backing(Protocol):
    """Where rows live. Safe to share between threads (tasks of one loop).

    Attributes:
        name: of the store, or of what was handed in, for errors and events.
        namespace: prefix of all that is kept there.
    """

    name: str
    namespace: str

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do."""
        ...

    def records(self, key: str | None = None) -> Records:
        """Records on the current owner (of the key's partition, where the store is partitioned)."""
        ...

    def write(
        self, *, key: str | None = None, deadline: Deadline, core: bool = False, stamped: bool = True
    ) -> AbstractContextManager[Unit]:
        """A unit on the current owner (of the key's partition, where the store is partitioned).

        Args:
            key: whose partition.
            deadline: of the unit.
            core: SQL: a Connection is what one types with.
            stamped: False where nobody will ask for its stamp: a server whose COMMIT does not tell it is not asked then.
        """
        ...

    def read(
        self,
        *,
        key: str | None = None,
        consistency: Consistency = SESSION,
        covers: Stamp | None = None,
        deadline: Deadline,
        core: bool = False,
    ) -> AbstractContextManager[Unit]:
        """Reads at `consistency`. With `covers` only on a copy that is proved to have it; EVENTUAL is SESSION then.

        Raises:
            UsageError: `covers` with BOUNDED, which asks for another proof.
        """
        ...

    def owner(self, key: str | None = None, *, deadline: Deadline) -> Owner:
        """Who owns the data (the key's partition) now."""
        ...

    def backend(self, key: str | None = None, *, deadline: Deadline) -> EndpointBackend:
        """The endpoint of that owner, for a module of its family that asks it in its own words."""
        ...

    @property
    def copies(self) -> int:
        """Of the data, beside the owner's, that may become the owner's one day; 0 where nobody knows of any."""
        ...

    def lacking(self, stamp: Stamp, *, deadline: Deadline) -> list[str]:
        """Those copies that are not proved to have all that `stamp` covers; each of them was asked just now."""
        ...

    def create_tables(self, tables: Sequence[Table], deadline: Deadline) -> None:
        """Make what a pillar keeps, once: many processes may call it at the same time."""
        ...

    def close(self) -> None:
        """Close what the backing itself opened; never what it was handed."""
        ...


_FAMILIES = MappingProxyType(
    {"sqlalchemy": "sql", "redis": "redis", "pymongo": "mongo", "cassandra": "cassandra"},
)
"""By the top module of what is handed in: which family of backends serves it."""
HERE = "here"
"""Region of a backing without a kit: there is no other."""


def backing_of(
    given: Any,
    *,
    namespace: str = "regionkit",
    store: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Backing:
    """The backing of a kit (with `store`), an engine, a client or a database.

    Args:
        given: a kit, a SQLAlchemy engine, a redis client, a pymongo database, a Cassandra session.
        namespace: prefix of all that is kept there; a kit's own counts for its stores.
        store: which of a kit's stores.
        clock: where time is read, without a kit.

    Raises:
        ConfigurationError: an unusable namespace, a store without a kit, or something that cannot serve; the error says what can.
    """
    check_name("namespace", namespace, NAMESPACE)
    made: Backing
    family = _family_of(given)
    if family == "regionkit":
        if store is None:
            raise ConfigurationError("a kit has several stores.", fix='name one: store="orders".')
        made = given.backing(store)
        return made
    if store is not None:
        raise ConfigurationError(
            f"store={str(store)[:80]!r} names a store of a kit, and a {type(given).__name__} has none.",
            fix="leave store= out, or hand in the kit.",
        )
    made = _named("regionkit.routing.backing").plain_backing(_plain(given, family, namespace, clock))
    return made


def _family_of(given: Any) -> str:
    """Which family serves it, "regionkit" for a kit.

    Raises:
        ConfigurationError: none does.
    """
    if isinstance(given, MemoryStore):
        return "memory"
    for kind in () if isinstance(given, type) else type(given).__mro__:
        top = kind.__module__.partition(".")[0]
        if top == "regionkit" and hasattr(given, "backing"):
            return top
        if top in _FAMILIES:
            return _FAMILIES[top]
    raise ConfigurationError(
        f"{given.__name__} is a class." if isinstance(given, type) else f"a {type(given).__name__} cannot keep rows.",
        fix="hand in a kit with store=, a SQLAlchemy engine, a redis client, a pymongo database or a Cassandra session.",
    )


def _plain(given: Any, family: str, namespace: str, clock: Clock) -> Plain:
    """What serves one engine or client of the application's, opened by name: this room imports no backend."""
    endpoint = Endpoint(HERE, Role.PRIMARY, client=given).named(HERE)
    if isinstance(given, MemoryStore):
        endpoint = given.primary
    context: EndpointContext[Any] = EndpointContext(
        namespace=namespace,
        store=given if isinstance(given, MemoryStore) else _STORES[family](family),
        endpoint=endpoint,
        profile=profile("balanced"),
        clock=clock,
        is_async=IS_ASYNC,
    )
    return Plain(context, _named("regionkit.backends.factory").plain_backend_of(context))


def _named(module: str) -> Any:
    return import_module(f"{module}_async" if IS_ASYNC else module)


class Plain(NamedTuple):
    """One engine or client of the application's, as an endpoint."""

    context: EndpointContext[Any]
    backend: EndpointBackend


_STORES: Mapping[str, Callable[[str], Store]] = MappingProxyType(
    {"sql": SqlStore, "redis": RedisStore, "mongo": MongoStore, "cassandra": CassandraStore}
)
