"""What routing itself keeps beside the data, on every backend; each family's `schema` or `records` module makes it there."""

from __future__ import annotations

from regionkit.core.tables import Table

__all__ = ["HISTORY", "KEPT", "MARKER", "POSITION", "RECORD"]


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
