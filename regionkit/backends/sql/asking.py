"""Questions of `regionkit doctor` to one SQL server, on one account's connection. Each stands alone, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import inspect

from regionkit.backends.sql.server import SqlContext
from regionkit.contract.kept_tables import KEPT, POSITION
from regionkit.core.tables import TABLES, table_name
from regionkit.topology import ParsedUrl

__all__ = ["Asking"]


@dataclass(frozen=True, slots=True)
class Asking:
    """One endpoint that is asked, on `connection`. `url`: the account's; None for an engine of the application's."""

    connection: sqlalchemy.Connection
    context: SqlContext
    url: ParsedUrl | None
    is_primary: bool

    def run(self, text: str, **values: Any) -> list[Any]:
        """The rows of a statement; [] where the server refuses it: the account may not see that."""
        try:
            return list(self.connection.execute(sqlalchemy.text(text), values))
        except sqlalchemy.exc.DBAPIError:
            return []
        finally:
            self._end()

    def named(self, text: str) -> list[Any]:
        """The same, each row by names."""
        try:
            return list(self.connection.execute(sqlalchemy.text(text)).mappings())
        except sqlalchemy.exc.DBAPIError:
            return []
        finally:
            self._end()

    def one(self, text: str, **values: Any) -> Any:
        """The first column of the first row; None where there is none."""
        rows = self.run(text, **values)
        return rows[0][0] if rows else None

    def clock(self, text: str) -> tuple[float | None, float]:
        """How far the server's clock is ahead, and half the time that the answer took; `text` asks for seconds since 1970."""
        clock = self.context.clock
        began = clock.monotonic()
        said = self.one(text)
        taken = clock.monotonic() - began
        if said is None:
            return None, 0.0
        return float(said) - (clock.wall() - taken / 2.0), taken / 2.0

    def kept(self) -> dict[str, int] | None:
        """Versions of what regionkit keeps there, by name; a table without a noted one is of version 1. None: nothing."""
        namespace = self.context.namespace
        start = table_name(namespace, "")
        try:
            there = inspect(self.connection).get_table_names()
        finally:
            self._end()
        names = {name.removeprefix(start) for name in there if name.startswith(start)}
        if not names:
            return None
        noted = self.run(f"SELECT name, version FROM {start}{TABLES}")  # noqa: S608  # of a checked namespace
        versions = {str(name): int(version) for name, version in noted}
        return {name: versions.get(name, 1) for name in names if name != TABLES}

    def routing_tables(self, tables: dict[str, int] | None) -> dict[str, str]:
        """Whole names of routing's own tables that are there, by name."""
        own = [table.name for table in KEPT if table is not POSITION]
        return {name: table_name(self.context.namespace, name) for name in own if name in (tables or {})}

    def _end(self) -> None:
        if self.connection.in_transaction():
            self.connection.rollback()  # not COMMIT, which would ask for a position: a replica has none to give
