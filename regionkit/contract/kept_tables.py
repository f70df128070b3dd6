"""What routing itself keeps beside the data, on every backend; each family's `schema` or `records` module makes it there."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

from regionkit.core.tables import Table
from regionkit.errors import ConfigurationError
from regionkit.topology.validation import did_you_mean

__all__ = ["HISTORY", "KEPT", "MARKER", "PILLARS", "POSITION", "RECORD", "make_with_kit", "tables_of"]


def _kept(name: str, *families: str) -> Table:
    homes = {
        "sql": f"regionkit.backends.sql.schema:{name}",
        "mongo": f"regionkit.backends.mongo.schema:{name.upper()}",
        "cassandra": f"regionkit.backends.cassandra.schema:{name.upper()}",
    }
    return Table("routing", name, 1, {family: homes[family] for family in families})


HISTORY = _kept("history", "sql", "mongo", "cassandra")
"""One row per history of the store."""
MARKER = _kept("marker", "sql", "mongo")
"""One row per idempotency key; Cassandra has no keyed writes."""
RECORD = _kept("record", "sql", "mongo", "cassandra")
"""Small versioned rows: placements, lists of homes, leases of work."""
POSITION = _kept("position", "sql")
"""SQLite only: one row, raised by one in each write block's own transaction."""

KEPT = (HISTORY, MARKER, RECORD, POSITION)

PILLARS = MappingProxyType(
    {
        "routing": "regionkit.contract.kept_tables:KEPT",
        "caching": "regionkit.caching.kept_tables:KEPT",
        "messaging": "regionkit.messaging.kept_tables:KEPT",
        "transactions": "regionkit.transactions.kept_tables:KEPT",
    }
)
"""By pillar, "module:name" of the tables that it keeps."""


def tables_of(pillars: Sequence[str]) -> list[Table]:
    """The tables of several pillars.

    Raises:
        ConfigurationError: an unknown one, with a near match.
    """
    found: list[Table] = []
    for pillar in pillars:
        if pillar not in PILLARS:
            raise ConfigurationError(f"there is no pillar {pillar!r}.", fix=did_you_mean(pillar, PILLARS))
        module, _, name = PILLARS[pillar].partition(":")
        found.extend(getattr(import_module(module), name))
    return found


def make_with_kit(given: Any, piece: Any) -> None:
    """Where `given` is a kit, its `create_tables` makes what the piece keeps, too."""
    if hasattr(type(given), "keeps"):  # a database of MongoDB's has an attribute of any name
        given.keeps(piece)
