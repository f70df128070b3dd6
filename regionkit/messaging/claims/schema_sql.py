"""The table of claims on SQL servers, and the statements on it. Names are bytes, and compare as such on every server.

| server     | claim                                                                                     |
|------------|-------------------------------------------------------------------------------------------|
| PostgreSQL | one statement: an upsert that takes what may be taken, or else what stands there          |
| SQLite     | the upsert, then a look where it took nothing                                             |
| MariaDB,   | a plain INSERT; on a duplicate key its transaction ends, and another one locks the row, as an |
| MySQL      | upsert does not tell what it did, and the lock that a duplicate leaves makes deadlocks    |

Times are seconds since 1970 by the server's clock; SQLite's is this machine's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, LargeBinary, MetaData, String, Table, text
from sqlalchemy.dialects import mysql

from regionkit.messaging.claim import LEAVES
from regionkit.messaging.claiming import LONGEST_NAME

__all__ = ["ClaimStatements", "idempotency"]

LARGEST_KEPT = 1 << 20
"""Of a result as it is kept, bytes: what a cipher makes of the largest one, and more."""
SWEPT = 1000
"""Rows of one DELETE: its locks are short."""
MYSQL = ("mariadb", "mysql")
"""They share the statements. Which of the two a URL leads to is known after the first contact only."""
_NOW = {
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    **dict.fromkeys(MYSQL, "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000e0)"),
}


def _bytes(length: int) -> Any:
    return LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def idempotency(meta: MetaData, name: str) -> Table:
    """The table of claims. `forget`: when the row is of no use any more."""
    return Table(
        name,
        meta,
        Column("scope", _bytes(LONGEST_NAME), primary_key=True),
        Column("id", _bytes(LONGEST_NAME), primary_key=True),
        Column("state", String(8), nullable=False),
        Column("fence", BigInteger, nullable=False),
        Column("ends", Double, nullable=False),
        Column("owner", _bytes(32), nullable=False),
        Column("fingerprint", _bytes(32), nullable=False),
        Column("was", String(8), nullable=False),
        Column("result", LargeBinary(LARGEST_KEPT), nullable=True),
        Column("forget", Double, nullable=False, index=True),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )


class ClaimStatements:
    """The statements of one table, for one kind of server."""

    def __init__(self, server: str, table: str) -> None:
        self._is_mysql = server in MYSQL
        now, name = _NOW[server], f"`{table}`" if self._is_mysql else f'"{table}"'
        scope, id, owner, fingerprint, result = map(self._sent, ("scope", "id", "owner", "fingerprint", "result"))
        key = f"scope = {scope} AND id = {id}"
        new = (
            f"(scope, id, state, fence, ends, owner, fingerprint, was, result, forget) VALUES ({scope}, {id}, :state, 1, "
            f"{now} + :lease, {owner}, {fingerprint}, '', NULL, {now} + :lease + :life)"
        )
        upsert = (
            f"INSERT INTO {name} AS r {new} ON CONFLICT (scope, id) DO UPDATE SET "
            "state = CASE WHEN r.state = 'calling' THEN 'calling' ELSE excluded.state END, fence = r.fence + 1, "
            "ends = excluded.ends, owner = excluded.owner, fingerprint = excluded.fingerprint, "
            "was = CASE WHEN r.state IN ('claimed', 'calling') THEN r.state ELSE '' END, result = NULL, "
            f"forget = excluded.forget WHERE r.state = 'free' OR (r.ends <= {now} AND (r.state = 'done' OR "
            f"r.fingerprint = excluded.fingerprint OR length(r.fingerprint) = 0 OR length(excluded.fingerprint) = 0))"
        )
        stands = f"SELECT state, fence, ends - {now}, owner, fingerprint, was, result FROM {name} WHERE {key}"
        won = "RETURNING 'won', fence, 0.0, owner, fingerprint, was, result"
        if server == "postgresql":
            columns = "(state, fence, ends, owner, fingerprint, was, result)"
            self.claim = text(
                f"WITH won {columns} AS ({upsert} {won}) SELECT * FROM won UNION ALL {stands} AND NOT EXISTS (SELECT 1 FROM won)"
            )
        else:
            self.claim = text(f"INSERT INTO {name} {new}" if self._is_mysql else f"{upsert} {won}")
        self.stands = text(stands)
        self.lock = text(f"{stands} FOR UPDATE")
        self.take_over = text(
            f"UPDATE {name} SET state = :state, fence = :fence, ends = {now} + :lease, owner = {owner}, "
            f"fingerprint = {fingerprint}, was = :was, result = NULL, forget = {now} + :lease + :life WHERE {key}"
        )
        nobody = {**dict.fromkeys(MYSQL, "''"), "postgresql": "CAST('' AS bytea)", "sqlite": "x''"}[server]
        changes = {
            "renew": f"ends = {now} + :lease, forget = {now} + :lease + :life",
            "call": "state = 'calling'",
            "complete": f"state = 'done', result = {result}, ends = {now} + :keep, forget = {now} + :life",
            "release": "state = 'free', ends = 0",
            "doubt": f"state = 'calling', ends = 0, owner = {nobody}",
        }
        self.steps = {
            step: text(
                f"UPDATE {name} SET {change} WHERE {key} AND fence = :fence AND owner = {owner} AND state IN "
                f"({', '.join(map(repr, LEAVES[step]))})"
            )
            for step, change in changes.items()
        }
        oldest = f"forget <= {now} ORDER BY forget LIMIT {SWEPT}"
        where = oldest if self._is_mysql else f"(scope, id) IN (SELECT scope, id FROM {name} WHERE {oldest})"
        self.sweep = text(f"DELETE FROM {name} WHERE {where}")

    def _sent(self, name: str) -> str:
        return f"UNHEX(:{name})" if self._is_mysql else f":{name}"  # aiomysql cannot send bytes

    def values(self, **values: Any) -> dict[str, Any]:
        """The values of a statement, as this server takes them."""
        if not self._is_mysql:
            return values
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
