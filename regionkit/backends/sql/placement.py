"""Rows of a directory of homes, changed by compare-and-set on their version (routing/placement.py)."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select, update

from regionkit.backends.sql.marker import insert_unless_there
from regionkit.routing.placement import Placement

__all__ = ["change_placement", "read_placement"]


def read_placement(connection: Connection, table: Table, store: str, key: str) -> Placement | None:
    """The row of a key."""
    columns = (table.c.home, table.c.epoch, table.c.version)
    row = connection.execute(select(*columns).where(table.c.store == store, table.c.key == key)).first()
    return None if row is None else Placement(store, key, row[0], row[1], row[2])


def change_placement(connection: Connection, table: Table, row: Placement, expected: int) -> Placement:
    """Put `row` where the version is `expected`; what stands there then."""
    values = {"store": row.store, "key": row.key, "home": row.home, "epoch": row.epoch, "version": row.version}
    if expected == 0:
        done = insert_unless_there(connection, table, values)
    else:
        statement = update(table).where(table.c.store == row.store, table.c.key == row.key, table.c.version == expected)
        changed = {"home": row.home, "epoch": row.epoch, "version": row.version}
        done = connection.execute(statement.values(**changed)).rowcount == 1
    if done:
        return row
    stands = read_placement(connection, table, row.store, row.key)
    return row if stands is None else stands
