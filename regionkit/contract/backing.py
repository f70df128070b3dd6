# Generated from backing_async.py by scripts/twins.py. Do not edit.
"""A backing: where a pillar's rows live. A kit's store, or one engine, client or database of the application's.

`backing_of` finds out what it was given by the module of its class, and imports nothing else. Pillars see these names
only; there is no second way "without a kit".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

from regionkit.contract.capabilities import Capabilities
from regionkit.contract.records import Records
from regionkit.contract.unit import Unit
from regionkit.core.deadline import Deadline
from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError
from regionkit.facts.consistency import SESSION, Consistency
from regionkit.facts.stamp import Owner, Stamp
from regionkit.topology.topology import NAMESPACE
from regionkit.topology.validation import check_name

__all__ = ["Backing", "backing_of"]

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

    @property
    def records(self) -> Records:
        """Records on the current owner."""
        ...

    def write(self, *, key: str | None = None, deadline: Deadline) -> AbstractAsyncContextManager[Unit]:
        """A unit on the current owner (of the key's partition, where the store is partitioned)."""
        ...

    def read(
        self,
        *,
        key: str | None = None,
        consistency: Consistency = SESSION,
        covers: Stamp | None = None,
        deadline: Deadline,
    ) -> AbstractAsyncContextManager[Unit]:
        """Reads on a copy that is proved to cover `covers`; with SESSION and none, on any allowed copy."""
        ...

    def owner(self, key: str | None = None) -> Owner:
        """Who owns the data (the key's partition) now."""
        ...

    def create_tables(self, tables: Sequence[Table], deadline: Deadline) -> None:
        """Make what a pillar keeps, once: many processes may call it at the same time."""
        ...

    def close(self) -> None:
        """Close what the backing itself opened; never what it was handed."""
        ...


_OPENERS = MappingProxyType(
    {
        "regionkit": "regionkit.routing.backing",
        "sqlalchemy": "regionkit.backends.sql.plain",
        "redis": "regionkit.backends.redis.plain",
        "pymongo": "regionkit.backends.mongo.plain",
        "cassandra": "regionkit.backends.cassandra.plain",
    }
)
"""By the top module of what is handed in: which module opens it."""


def backing_of(given: Any, *, namespace: str = "regionkit", store: str | None = None) -> Backing:
    """The backing of a kit (with `store`), an engine, a client or a database.

    Raises:
        ConfigurationError: an unusable namespace, or something that can not serve; the error says what can.
    """
    check_name("namespace", namespace, NAMESPACE)
    if isinstance(given, type):
        raise ConfigurationError(f"{given.__name__} is a class.", fix="hand in an object of it.")
    for kind in type(given).__mro__:
        opener = _OPENERS.get(kind.__module__.partition(".")[0])
        if opener is not None:
            module = import_module(f"{opener}_async" if IS_ASYNC else opener)
            made: Backing = module.backing_of(given, namespace=namespace, store=store)
            return made
    raise ConfigurationError(
        f"a {type(given).__name__} can not keep rows.",
        fix="hand in a kit with store=, a SQLAlchemy engine, a redis client, a pymongo database or a Cassandra session.",
    )
