"""What regionkit keeps in a keyspace: one row of its history, and the directory of homes. All of it by conditional statements."""

from __future__ import annotations

from typing import Any

from regionkit.facts.placement import Placement

__all__ = ["Tables", "placement_of"]

CREATE_HISTORY = "CREATE TABLE IF NOT EXISTS {} (id int PRIMARY KEY, history text, epoch int, replication text)"
CREATE_PLACEMENT = (
    "CREATE TABLE IF NOT EXISTS {} "
    "(store text, key text, home text, epoch int, version int, PRIMARY KEY ((store, key)))"
)
HISTORY = "SELECT history, epoch, replication FROM {} WHERE id = 0"
BEGIN = "INSERT INTO {} (id, history, epoch, replication) VALUES (0, %s, %s, %s) IF NOT EXISTS"
CONFIRM = "UPDATE {} SET replication = %s WHERE id = 0 IF EXISTS"
FIND = "SELECT home, epoch, version FROM {} WHERE store = %s AND key = %s"
PUT_FIRST = "INSERT INTO {} (store, key, home, epoch, version) VALUES (%s, %s, %s, %s, %s) IF NOT EXISTS"
PUT = "UPDATE {} SET home = %s, epoch = %s, version = %s WHERE store = %s AND key = %s IF version = %s"


class Tables:
    """The CQL of one namespace. Names are quoted: a namespace may hold a hyphen or capitals."""

    __slots__ = ("begin", "confirm", "create", "find", "history", "put", "put_first")

    def __init__(self, namespace: str) -> None:
        history, placement = f'"{namespace}_rk_history"', f'"{namespace}_rk_placement"'
        self.create = (CREATE_HISTORY.format(history), CREATE_PLACEMENT.format(placement))
        self.history = HISTORY.format(history)
        self.begin = BEGIN.format(history)
        self.confirm = CONFIRM.format(history)
        self.find = FIND.format(placement)
        self.put_first = PUT_FIRST.format(placement)
        self.put = PUT.format(placement)


def placement_of(store: str, key: str, row: Any) -> Placement | None:
    """The placement that a row of `find` says."""
    return None if row is None else Placement(store, key, row[0], row[1], row[2])
