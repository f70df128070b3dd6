"""What regionkit keeps in a keyspace, as CQL with {} for the quoted name of a table. A name may hold a hyphen or capitals.

1. All of it is written by conditional statements, which the servers order.
2. A record, a version and the lock are written by UPDATE only: an INSERT leaves a row that outlasts cells with a time to live.
"""

from __future__ import annotations

from regionkit.core.tables import TABLES, table_name

__all__ = ["HISTORY", "LOCK", "MAKE_TABLES", "RECORD", "Statements"]

HISTORY = "CREATE TABLE IF NOT EXISTS {} (id int PRIMARY KEY, history text, epoch int, replication text)"
RECORD = (
    "CREATE TABLE IF NOT EXISTS {} "
    "(kind text, key text, value blob, version bigint, nonce text, PRIMARY KEY ((kind, key)))"
)
MAKE_TABLES = "CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, version int, holder text)"
"""The table of tables; the lock that who makes tables holds is a row of it."""
LOCK = "*"
"""Name of the row that is the lock: no table is called so."""

_READ_HISTORY = "SELECT history, epoch, replication FROM {} WHERE id = 0"
_BEGIN = "INSERT INTO {} (id, history, epoch, replication) VALUES (0, %s, %s, %s) IF NOT EXISTS"
_CONFIRM = "UPDATE {} SET replication = %s WHERE id = 0 IF EXISTS"
_RECORD = "SELECT value, version, nonce FROM {} WHERE kind = %s AND key = %s"
_CHANGE = "UPDATE {} USING TTL %s SET value = %s, version = %s, nonce = %s WHERE kind = %s AND key = %s IF version = %s"
_TAKE_AWAY = "DELETE FROM {} WHERE kind = %s AND key = %s IF version = %s"
_VERSIONS = "SELECT name, version, holder FROM {}"
_NOTE = "UPDATE {} SET version = %s WHERE name = %s IF version = %s"
_TAKE_LOCK = "UPDATE {} USING TTL %s SET holder = %s WHERE name = %s IF holder = %s"
_DROP_LOCK = "DELETE holder FROM {} WHERE name = %s IF holder = %s"


class Statements:
    """The CQL of one namespace, on the tables that `schema` defines."""

    __slots__ = (
        *("begin", "change", "confirm", "drop_lock", "history", "make_tables", "note"),
        *("record", "take_away", "take_lock", "versions"),
    )

    def __init__(self, namespace: str) -> None:
        def on(name: str, text: str) -> str:
            return text.format(f'"{table_name(namespace, name)}"')

        self.history = on("history", _READ_HISTORY)
        self.begin = on("history", _BEGIN)
        self.confirm = on("history", _CONFIRM)
        self.record = on("record", _RECORD)
        self.change = on("record", _CHANGE)
        self.take_away = on("record", _TAKE_AWAY)
        self.make_tables = on(TABLES, MAKE_TABLES)
        self.versions = on(TABLES, _VERSIONS)
        self.note = on(TABLES, _NOTE)
        self.take_lock = on(TABLES, _TAKE_LOCK)
        self.drop_lock = on(TABLES, _DROP_LOCK)
