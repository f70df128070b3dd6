"""Statements that raise a number of a row: epochs, and versions of marks. One statement on each server, and no loop."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from sqlalchemy import MetaData, Table, bindparam, case, literal_column, select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from regionkit.caching.kept_tables import WB_EPOCH
from regionkit.caching.schema_sql import wb_epoch
from regionkit.core.tables import table_name

__all__ = ["MYSQL", "EpochStatements", "inserting", "rising"]

MYSQL = ("mysql", "mariadb")
_INSERTS = MappingProxyType(
    {"postgresql": postgresql.insert, "sqlite": sqlite.insert, **dict.fromkeys(MYSQL, mysql.insert)}
)


def inserting(server: str, table: Table) -> Any:
    """The dialect's INSERT, which asks for nothing back."""
    made: Any = _INSERTS[server](table)
    return made.inline()


def rising(server: str, table: Table, name: str, *, plus: int) -> Any:
    """Insert a row; where it is there, raise a column to what is given, and by `plus` at any rate."""
    made, column = inserting(server, table), table.c[name]
    new = made.inserted[name] if server in MYSQL else made.excluded[name]
    changes = {name: case((column >= new, column + literal_column(str(plus))), else_=new)}
    if "made" in table.c:
        changes["made"] = made.inserted["made"] if server in MYSQL else made.excluded["made"]
    if server in MYSQL:
        return made.on_duplicate_key_update(changes)
    return made.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)


class EpochStatements:
    """Epochs of caches. Immutable.

    Attributes:
        next: gives out `epoch` of `cache`, or the next one where that was given out already.
        at_least: raises it to `epoch` where it is lower.
        latest: of `b_cache`.
    """

    def __init__(self, namespace: str, server: str) -> None:
        self.table = wb_epoch(MetaData(), table_name(namespace, WB_EPOCH.name))
        self.next = rising(server, self.table, "epoch", plus=1)
        self.at_least = rising(server, self.table, "epoch", plus=0)
        self.latest = select(self.table.c.epoch).where(self.table.c.cache == bindparam("b_cache"))
