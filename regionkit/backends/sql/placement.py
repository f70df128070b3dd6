"""Rows of a directory of homes, changed by compare-and-set on their version (routing/placements.py)."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select, update

from regionkit.backends.sql.marker import insert_unless_there
from regionkit.errors import TransactionRolledBack
from regionkit.facts.placement import Placement

__all__ = ["change_placement", "read_placement"]


def read_placement(
    connection: Connection, table: Table, store: str, key: str, *, current: bool = False
) -> Placement | None:
    """The row of a key. `current`: what is committed now, not what a snapshot of this transaction shows."""
    columns = (table.c.home, table.c.epoch, table.c.version)
    asked = select(*columns).where(table.c.store == store, table.c.key == key)
    row = connection.execute(asked.with_for_update(read=True) if current else asked).first()
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
    stands = read_placement(connection, table, row.store, row.key, current=True)
    if stands is None:
        raise TransactionRolledBack(
            f"the placement of key {row.key!r} in store {row.store!r} was not changed.",
            why="its row was taken away meanwhile, or was never there.",
            fix="give the key its home anew: kit.place(store, key=..., home=...).",
        )
    return stands
