"""The time by the clock of the server that keeps a row: clocks of processes differ, by hours where one is set wrong."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Double, cast, extract, func, literal_column

__all__ = ["server_now"]


def server_now(connection: Connection) -> ColumnElement[float]:
    """Seconds since 1970 by the server's clock. Of this moment, not of the transaction's begin: a unit may have been long."""
    name = connection.dialect.name
    if name == "postgresql":
        return cast(extract("epoch", func.clock_timestamp()), Double)
    if name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)", Double)
    return literal_column("(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000e0)", Double)
